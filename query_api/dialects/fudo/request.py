"""The parameters of a URL: what may be said, and what was (fudo-facts 2.3)."""

import re
from zoneinfo import ZoneInfo

import msgspec

from query_api.dialects.fudo.conditions import FILTER
from query_api.dialects.fudo.filtering import filter_of
from query_api.dialects.fudo.model import ATTRIBUTES, BY_NAME, Attribute
from query_api.documents import query_pairs, shown
from query_api.errors import BadRequestError
from query_api.filters import EVERYTHING, LIST_LIMIT, Filter
from query_api.paging import REACH_LIMIT
from query_api.sources import ALL_SESSIONS, REMOVED_SESSIONS, SESSIONS
from query_api.sql import Source

FIELDS, ORDER, OFFSET, LIMIT, TOTAL, REVEAL, DEBUG = (
    "fields",
    "order",
    "offset",
    "limit",
    "total_count",
    "reveal",
    "debug",
)
#: For one object, for a list of them, and for what is written.
OF_ONE = frozenset({FIELDS, REVEAL, DEBUG})
OF_LIST = OF_ONE | {FILTER, ORDER, OFFSET, LIMIT, TOTAL}
OF_WRITE = frozenset({FIELDS, DEBUG})

_REVEALED = {"active": SESSIONS, "removed": REMOVED_SESSIONS, "all": ALL_SESSIONS}
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_FLAGS = {"": True, "true": True, "1": True, "false": False, "0": False}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. ``fields`` None: everything that has a value; empty: nothing but the id."""

    fields: tuple[Attribute, ...] | None = None
    filter: Filter = EVERYTHING
    source: Source = SESSIONS
    limit: int | None = None
    offset: int = 0
    ordered: bool = False
    total_count: bool = False
    debug: bool = False


def parse(raw: str, allowed: frozenset[str], zone: ZoneInfo) -> Request:
    """A query string. Raises BadRequestError that names the parameter."""
    given: dict[str, str] = {}
    for name, value in query_pairs(raw):
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise BadRequestError(f"there is no parameter {shown(name)} here; known are {known}", field=shown(name))
        if name in given:
            raise BadRequestError(f"{name} is given twice", field=name)
        given[name] = value
    source = _REVEALED.get(given.get(REVEAL, "active"))
    if source is None:
        raise BadRequestError("reveal must be active, removed or all", field=REVEAL)
    order = _order(given.get(ORDER))
    request = Request(
        fields=_fields(given.get(FIELDS)),
        filter=filter_of(given.get(FILTER), zone),
        source=msgspec.structs.replace(source, by=order) if order else source,
        limit=_count(given, LIMIT),
        offset=_count(given, OFFSET) or 0,
        ordered=bool(order),
        total_count=_flag(given, TOTAL),
        debug=_flag(given, DEBUG),
    )
    if request.offset + (request.limit or 0) > REACH_LIMIT:
        raise BadRequestError(f"offset and limit together must be at most {REACH_LIMIT}", field=OFFSET)
    return request


def _fields(text: str | None) -> tuple[Attribute, ...] | None:
    if text is None:
        return None
    chosen: list[Attribute] = []
    for name in text.split(",") if text else []:
        attribute = BY_NAME.get(name.strip())
        if attribute is None:
            raise BadRequestError(f"fields: a session has no attribute {shown(name)}", field=FIELDS)
        if attribute not in chosen:
            chosen.append(attribute)
    return tuple(chosen)


def _order(text: str | None) -> str:
    """SQL of an order by attributes, ascending, descending with a minus sign; those without a value come last."""
    if text is None:
        return ""
    names = text.split(",")
    if len(names) > LIST_LIMIT:
        raise BadRequestError(f"order has more than {LIST_LIMIT} attributes", field=ORDER)
    parts = []
    for given in names:
        name = given.strip()
        attribute = BY_NAME.get(name.removeprefix("-"))
        if attribute is None or attribute.computed:
            orderable = ", ".join(one.name for one in ATTRIBUTES if not one.computed)
            raise BadRequestError(f"order: {shown(name)} is none of {orderable}", field=ORDER)
        way = "DESC" if name.startswith("-") else "ASC"
        parts.append(f"{value_of(attribute)} {way} NULLS LAST")
    return ", ".join(parts)


def value_of(attribute: Attribute) -> str:
    """Its SQL with NULL for what has no value, a time as a time."""
    return f"nullIf({attribute.sql}, '')" if attribute.kind == "string" else attribute.sql


def _count(given: dict[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not _DIGITS.fullmatch(text) or int(text) > REACH_LIMIT:
        raise BadRequestError(f"{name} must be an integer from 0 to {REACH_LIMIT}", field=name)
    return int(text)


def _flag(given: dict[str, str], name: str) -> bool:
    """A flag counts by being there; it may also say true or false."""
    text = given.get(name)
    if text is None:
        return False
    if text not in _FLAGS:
        raise BadRequestError(f"{name} is a flag: it is given without a value", field=name)
    return _FLAGS[text]
