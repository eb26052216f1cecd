"""Bodies of writes, checked as the product checks them (netalertx-facts 1.2, 1.3): all problems, the first one said."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from query_api.documents import json_object, shown
from query_api.errors import BadRequestError, Problem, UnprocessableError, UnsupportedMediaTypeError
from schemas.times import EARLIEST, LATEST, from_datetime

_T = TypeVar("_T")

#: Longest label of an event, in characters.
LABEL_LIMIT = 255
#: Six pairs of hex digits with one separator or none, the first three and a star, or the product's word for a router.
_MAC = re.compile(
    r"[0-9a-f]{2}([-:]?)[0-9a-f]{2}(\1[0-9a-f]{2}){4}|[0-9a-f]{2}(:[0-9a-f]{2}){2}:\*|internet", re.IGNORECASE
)
_TIME_EXPECTED = "a time such as 2025-08-01T10:00:00, from the years 1970 to 2200"


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """Times are microseconds UTC; ``mac`` as it was sent, blanks around it too."""

    mac: str
    ip: str
    start: int
    end: int | None
    connected: str
    disconnected: str


def creation(body: Mapping[str, Any], zone: ZoneInfo) -> Creation:
    """Raises BadRequestError and UnprocessableError."""
    checked = _Checked(body)
    mac = checked.text("mac", _checked_mac)
    ip = checked.text("ip", _checked_ip)
    start = checked.text("start_time", lambda text: _micros(text, zone, "start_time") if text else None)
    end = checked.optional("end_time", lambda text: _micros(text, zone, "end_time") if text else None)
    connected = checked.optional("event_type_conn", _checked_label)
    disconnected = checked.optional("event_type_disc", _checked_label)
    if start is not None and end is not None and end < start:
        checked.value_error("end_time", "end_time is before start_time")
    checked.raise_problems()
    if mac is None or ip is None or start is None:
        raise BadRequestError(
            "ERROR: Missing parameters",
            title="Missing required 'mac', 'ip', or 'start_time' query parameter",
            field="start_time",
        )
    return Creation(
        mac=mac,
        ip=ip,
        start=start,
        end=end,
        connected=connected or "Connected",
        disconnected=disconnected or "Disconnected",
    )


def deletion(body: Mapping[str, Any]) -> str:
    """The address as it was sent. Raises UnprocessableError."""
    checked = _Checked(body)
    mac = checked.text("mac", _checked_mac)
    checked.raise_problems()
    assert mac is not None  # It would be a problem.
    return mac


async def members(request: web.Request) -> dict[str, Any]:
    """Raises UnsupportedMediaTypeError and BadRequestError in the product's words."""
    if request.content_type.lower() != "application/json":
        raise UnsupportedMediaTypeError("Content-Type must be application/json", field="Content-Type")
    sent = await request.read()
    try:
        value = msgspec.json.decode(sent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequestError("Request body must be valid JSON", title="Invalid JSON") from None
    if not isinstance(value, dict):
        raise BadRequestError("Unable to process request body", title="Invalid Request")
    # A name given twice, for one, is refused.
    return json_object(sent)


class _Checked:
    """Members of a body, one after the other; what is wrong is gathered."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._problems: list[Problem] = []

    def text(self, name: str, check: Callable[[str], _T | None]) -> _T | None:
        """A member that must be there."""
        if name not in self._body:
            self._problems.append(Problem("missing", (name,), "Field required"))
            return None
        return self._read(name, check)

    def optional(self, name: str, check: Callable[[str], _T | None]) -> _T | None:
        return None if self._body.get(name) is None else self._read(name, check)

    def value_error(self, name: str, reason: str) -> None:
        self._problems.append(Problem("value_error", (name,), f"Value error, {reason}"))

    def raise_problems(self) -> None:
        if not self._problems:
            return
        first = self._problems[0]
        said = f"Missing required '{first.loc[0]}'" if first.type == "missing" else f"Validation Error: {first.msg}"
        raise UnprocessableError(said, self._problems)

    def _read(self, name: str, check: Callable[[str], _T | None]) -> _T | None:
        value = self._body[name]
        if not isinstance(value, str):
            self._problems.append(Problem("string_type", (name,), "Input should be a valid string"))
            return None
        try:
            return check(value)
        except ValueError as error:
            self.value_error(name, str(error))
            return None


def _checked_mac(text: str) -> str:
    if not _MAC.fullmatch(text.strip()):
        raise ValueError(f"Invalid MAC address format: {shown(text)}")
    return text


def _checked_ip(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"Invalid IP address: {shown(text)}") from None
    return text


def _checked_label(text: str) -> str:
    if len(text) > LABEL_LIMIT or not text.isprintable():
        raise ValueError(f"a type of an event has at most {LABEL_LIMIT} printable characters")
    return text


def _micros(text: str, zone: ZoneInfo, name: str) -> int:
    """ISO 8601, or as Flask writes times: ``Fri, 01 Aug 2025 10:00:00 GMT``; without a zone in ``zone``."""
    invalid = ValueError(f"Invalid {name}: {shown(text)}; expected {_TIME_EXPECTED}")
    try:
        moment = datetime.fromisoformat(text) if text[:1].isdigit() else parsedate_to_datetime(text)
        micros = from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError, IndexError):
        raise invalid from None
    if not EARLIEST <= micros <= LATEST:
        raise invalid
    return micros
