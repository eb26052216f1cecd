"""What a client of Honeytrap may ask: the same names as JSON body of the GET or in the query string."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from query_api.documents import shown
from query_api.errors import BadRequestError
from query_api.filters import EVERYTHING, Filter, Names, checked_list, checked_pattern, either, matches_any
from query_api.paging import Page, checked_page

SIZE, MISSPELT_SIZE, NUMBER = "response_per_page", "responser_per_page", "page"
TYPES, SENSORS, TIME_FORMAT = "types", "sensors", "time_format"
NAMES = frozenset({SIZE, MISSPELT_SIZE, NUMBER, TYPES, SENSORS, TIME_FORMAT})

_CODE = re.compile(r"-?[0-9]+", re.ASCII)
_LARGEST_CODE = 2**31 - 1
#: Digits of a number in the query string; more are out of every range, and int() takes time for them.
_DIGITS = 20


class Request(msgspec.Struct, frozen=True):
    """A request that was understood. ``rfc3339``: times in that form instead of the document's."""

    page: Page | None
    codes: tuple[int, ...]
    kinds: tuple[str, ...]
    sensors: tuple[str, ...]
    rfc3339: bool

    def type_filter(self, names: Names, codes: Callable[[tuple[int, ...], Names], Filter], text: str) -> Filter:
        """Codes as the view says, or regexes on the column ``text``: any of all of them."""
        matching = matches_any(text, self.kinds, TYPES, names)
        if not self.codes:
            return matching
        coded = codes(self.codes, names)
        # A view may not tell some codes apart: then everything may match.
        return either([coded, matching]) if coded.where else EVERYTHING

    def sensor_filter(self, names: Names) -> Filter:
        return matches_any("sensor", self.sensors, SENSORS, names)


def parse(body: Mapping[str, Any], query: list[tuple[str, str]]) -> Request:
    """Raises BadRequestError that names the field."""
    given = _from_query(query)
    for name in body:
        _known(name)
        if name in given:
            raise BadRequestError(f"{name} is given in the body and in the query string", field=name)
    given.update(body)
    if SIZE in given and MISSPELT_SIZE in given:
        raise BadRequestError(f"{MISSPELT_SIZE} is {SIZE} misspelt: give one of them", field=MISSPELT_SIZE)
    size_name = MISSPELT_SIZE if MISSPELT_SIZE in given else SIZE
    page = checked_page(_integer(given, size_name), _integer(given, NUMBER), size_name, NUMBER)
    types = _list(given, TYPES, "integers and regexes")
    codes, kinds = [], []
    for entry in types:
        if isinstance(entry, str):
            kinds.append(checked_pattern(entry, TYPES))
        elif isinstance(entry, int) and not isinstance(entry, bool):
            if not 0 <= entry <= _LARGEST_CODE:
                raise BadRequestError(f"a code in {TYPES} must be from 0 to {_LARGEST_CODE}", field=TYPES)
            codes.append(entry)
        else:
            raise BadRequestError(f"{TYPES} must have integers and texts only", field=TYPES)
    sensors = []
    for entry in _list(given, SENSORS, "regexes"):
        if not isinstance(entry, str):
            raise BadRequestError(f"{SENSORS} must have texts only", field=SENSORS)
        sensors.append(checked_pattern(entry, SENSORS))
    return Request(page, tuple(codes), tuple(kinds), tuple(sensors), _time_format(given))


def _from_query(query: list[tuple[str, str]]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in query:
        _known(name)
        if name == TYPES:
            given.setdefault(TYPES, []).extend(_code_or_text(entry, TYPES) for entry in value.split(","))
        elif name == SENSORS:
            given.setdefault(SENSORS, []).append(value)
        elif name in given:
            raise BadRequestError(f"{name} is given twice", field=name)
        elif name == TIME_FORMAT:
            given[name] = value
        else:
            given[name] = _code_or_text(value, name)
    return given


def _code_or_text(value: str, name: str) -> int | str:
    if not value:
        raise BadRequestError(f"{name} has an empty entry in the query string", field=name)
    if not _CODE.fullmatch(value):
        return value
    return int(value) if len(value) <= _DIGITS else 10**_DIGITS


def _known(name: str) -> None:
    if name not in NAMES:
        raise BadRequestError(
            f"there is no field {shown(name)}; known are {', '.join(sorted(NAMES))}", field=shown(name)
        )


def _integer(given: Mapping[str, Any], name: str) -> int | None:
    if name not in given:
        return None
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequestError(f"{name} must be an integer", field=name)
    return value


def _list(given: Mapping[str, Any], name: str, of: str) -> list[Any]:
    value = given.get(name, [])
    if not isinstance(value, list):
        raise BadRequestError(f"{name} must be a list of {of}", field=name)
    checked_list(value, name)
    return value


def _time_format(given: Mapping[str, Any]) -> bool:
    value = given.get(TIME_FORMAT)
    if TIME_FORMAT in given and value != "rfc3339":
        raise BadRequestError(
            f"{TIME_FORMAT} must be rfc3339; without it times are as in Honeytrap's document", field=TIME_FORMAT
        )
    return value is not None
