"""Which records a live client wants, decided here as ClickHouse decides it for pages."""

from collections.abc import Sequence

import msgspec
import re2

from query_api.auth.sensors import sees
from query_api.errors import BadRequestError
from schemas.regexes import InvalidRegexError, compiled

#: Names whose answer is kept. Sensors and kinds are few; whoever sends ever new ones only makes this slower.
_KEPT = 4096


class Wish(msgspec.Struct, frozen=True):
    """Records that pass ``sensors`` and, where there are any, ``codes`` or ``texts``; empty lists let all through.

    ``restriction`` is what whoever asks may see at all: a regex on the sensor's whole name, None for everything.
    """

    codes: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    restriction: str | None = None


class Matcher:
    """``wish`` as a decision. Raises BadRequestError that names the field of a regex that is not RE2."""

    def __init__(self, wish: Wish) -> None:
        self._codes = frozenset(wish.codes)
        self._texts = _compiled(wish.texts, "types")
        self._sensors = _compiled(wish.sensors, "sensors")
        self._restriction = wish.restriction
        self._any_type = not wish.codes and not wish.texts
        self._known_sensors: dict[str, bool] = {}
        self._known_texts: dict[str, bool] = {}

    def matches(self, sensor: str, code: int, text: str) -> bool:
        """``text`` is the kind of an event, the protocol of a session."""
        known = self._known_sensors.get(sensor)
        if known is None:
            known = sees(self._restriction, sensor) and (not self._sensors or _found(self._sensors, sensor))
            _keep(self._known_sensors, sensor, known)
        if not known or self._any_type or code in self._codes:
            return known
        known = self._known_texts.get(text)
        if known is None:
            known = _found(self._texts, text)
            _keep(self._known_texts, text, known)
        return known


def _compiled(patterns: Sequence[str], field: str) -> list["re2._Regexp[str]"]:
    try:
        return [compiled(pattern) for pattern in patterns]
    except InvalidRegexError as error:
        raise BadRequestError(f"{field} has an invalid regex (RE2): {error}", field=field) from None


def _found(patterns: list["re2._Regexp[str]"], text: str) -> bool:
    return any(pattern.search(text) is not None for pattern in patterns)


def _keep(known: dict[str, bool], name: str, answer: bool) -> None:
    if len(known) >= _KEPT:
        known.clear()
    known[name] = answer
