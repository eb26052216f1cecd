"""PATCH: marks on a session. Sojourn watches connections and does not carry them: a mark ends or holds up nothing."""

import time
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from producers import writes as records
from producers.writes import Write
from query_api.dialects.fudo import times
from query_api.dialects.fudo.caller import Caller, Prepared, caller_of
from query_api.dialects.fudo.model import BY_NAME, PREFIX, WRITABLE, Attribute, Kind
from query_api.dialects.fudo.reading import answered, written
from query_api.dialects.fudo.request import OF_WRITE, parse
from query_api.dialects.fudo.targets import find
from query_api.documents import has_characters_only, json_object, shown
from query_api.errors import BadRequestError
from query_api.sources import ALL_SESSIONS
from query_api.writes import WRITES, Change, in_sessions, part_of, request_id
from schemas.records import Amendment
from schemas.times import LATEST

#: Longest text that may be written, in characters.
TEXT_LIMIT = 1024
#: Attributes that are fields of their own in an amendment; the others stand in the session's attributes.
_AMENDED = frozenset(Amendment.__struct_fields__)


class Wish(msgspec.Struct, frozen=True):
    """What a body asks for."""

    amendment: Amendment
    attributes: dict[str, str]
    remove: bool = False

    @property
    def amends(self) -> bool:
        return bool(self.attributes) or self.amendment != Amendment()


async def change(request: web.Request) -> web.StreamResponse:
    caller = caller_of(request)
    body = json_object(await request.read())
    name = await request_id(request)
    prepared = await prepare(caller, request.match_info["id"], request.rel_url.raw_query_string, body, name)
    is_visible = await request.app[WRITES].make(prepared.change, caller.reader, request)
    status, members = await written(caller, prepared, is_visible)
    return answered({"result": "success", **members}, status)


async def prepare(caller: Caller, session_id: str, query: str, body: dict[str, Any], name: str) -> Prepared:
    """Understand a PATCH; ``name`` is the request's id. Raises ApiError."""
    asked = parse(query, OF_WRITE, caller.zone)
    wish = wish_of(body, caller.zone)
    found = await find(caller.reader, session_id)
    if wish.remove and found.retention_locked and wish.amendment.retention_locked is not False:
        raise BadRequestError("removed: the session is retention_locked; unlock it first", field="removed")
    now = time.time_ns() // 1000
    made: list[tuple[str, Write]] = []
    if wish.amends:
        amend = part_of(name, "amend")
        made.append((amend, records.amend(found.target, amend, now, wish.amendment, wish.attributes)))
    if wish.remove:
        remove = part_of(name, "remove")
        made.append((remove, records.remove(found.target, remove, now)))
    seen = in_sessions([found.target], [part for part, _ in made])
    return Prepared(
        change=Change(tuple(write for _, write in made), seen),
        read=(session_id, msgspec.structs.replace(asked, source=ALL_SESSIONS)) if asked.fields else None,
    )


def wish_of(body: dict[str, Any], zone: ZoneInfo) -> Wish:
    """A body, checked. Raises BadRequestError that names the attribute and what was expected."""
    amendment: dict[str, Any] = {}
    attributes: dict[str, str] = {}
    remove = False
    if not body:
        raise BadRequestError(f"the body names nothing to change; writable are {', '.join(WRITABLE)}")
    for name, given in body.items():
        attribute = BY_NAME.get(name)
        if attribute is None:
            raise BadRequestError(f"a session has no attribute {shown(name)}", field=shown(name))
        if not attribute.writable:
            raise BadRequestError(f"{name} is read-only; writable are {', '.join(WRITABLE)}", field=name)
        if name == "removed":
            if given is not True:
                raise BadRequestError("removed can only become true: a removed session stays removed", field=name)
            remove = True
        elif name == "terminate_at":
            amendment[name] = _moment(given, zone)
        elif attribute.kind is Kind.BOOLEAN:
            value = _boolean(name, given)
            if name in _AMENDED:
                amendment[name] = value
            else:
                attributes[PREFIX + name] = "true" if value else ""
        elif name in _AMENDED:
            amendment[name] = _text(attribute, given)
        else:
            attributes[PREFIX + name] = _text(attribute, given)
    return Wish(Amendment(**amendment), attributes, remove)


def _boolean(name: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise BadRequestError(f"{name} must be true or false", field=name)
    return given


def _text(attribute: Attribute, given: object) -> str:
    """The text; empty for null, which takes away what was written before."""
    name = attribute.name
    if given is None:
        return ""
    if attribute.values:
        if given not in attribute.values:
            raise BadRequestError(f"{name} must be null or one of {', '.join(attribute.values)}", field=name)
    elif not isinstance(given, str) or len(given) > TEXT_LIMIT or not has_characters_only(given):
        raise BadRequestError(f"{name} must be null or a text of at most {TEXT_LIMIT} characters", field=name)
    return str(given)


def _moment(given: object, zone: ZoneInfo) -> int:
    """Microseconds UTC; 0 for null."""
    if given is None:
        return 0
    if isinstance(given, str):
        moment = times.read(given, zone, "terminate_at")
        if 0 < moment < LATEST:
            return moment
    raise BadRequestError(
        f"terminate_at must be null or {times.EXPECTED}, after 1970 and before 2200", field="terminate_at"
    )
