"""What a client of SPS may ask of a list, as parameters of the query string. Unknown names are ignored."""

from collections.abc import Collection
from typing import Literal

import msgspec
from aiohttp import web

from query_api.dialects.sps.fields import Catalogue, Field, Kind
from query_api.dialects.sps.moments import micros
from query_api.documents import query_pairs, shown
from query_api.errors import BadRequestError

#: Items of a page; of sessions never more (sps-facts 1.4), of a session's parts up to ten thousand (1.10).
LIMIT = 500
LARGEST_PART = 10_000
#: Sessions further down than this are never shown without a snapshot (sps-facts 1.4).
REACH = 10_000
_LARGEST_OFFSET = 2**31 - 1

Parameters = dict[str, str]


def parameters(request: web.Request, known: Collection[str]) -> Parameters:
    """The known parameters in the order of the request. Raises BadRequestError for one that is given twice."""
    found: Parameters = {}
    for name, value in query_pairs(request.rel_url.raw_query_string):
        if name in known:
            if name in found:
                raise BadRequestError(f"{name} is given twice", field=name)
            found[name] = value
    return found


class Window(msgspec.Struct, frozen=True):
    """``limit`` items from ``offset`` on, both as they take effect."""

    limit: int
    offset: int


def window(given: Parameters, largest: int, reach: int | None = None) -> Window:
    """A limit that is too large is the largest; an offset beyond ``reach`` is ignored (sps-facts 1.4)."""
    limit = min(whole_number(given, "limit", LIMIT, 1), largest)
    offset = whole_number(given, "offset", 0, 0)
    if reach is not None and offset > reach:
        offset = 0
    return Window(limit, min(offset, _LARGEST_OFFSET))


def whole_number(given: Parameters, name: str, default: int, least: int) -> int:
    text = given.get(name, "")
    if text == "":
        return default
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(f"{name} must be a whole number, at least {least}", field=name)
    # So many digits are out of every range, and int() takes time for more.
    number = int(text[:20])
    if number < least:
        raise BadRequestError(f"{name} must be at least {least}", field=name)
    return number


def times(given: Parameters) -> tuple[int | None, int | None]:
    """The parameters start and end, microseconds since 1970 UTC."""
    start, end = (micros(given[name], name) if given.get(name) else None for name in ("start", "end"))
    return start, end


def chosen_fields(given: Parameters, catalogue: Catalogue) -> tuple[list[str], list[Field]]:
    """The names as they were sent, and the properties they stand for; ``user`` stands for all of ``user.*``.

    Raises BadRequestError for a name that is no property.
    """
    names = [name.strip() for name in given.get("fields", "").split(",")]
    names = [name for name in names if name]
    found: dict[str, Field] = {}
    for name in names:
        within = [
            field
            for field in catalogue.fields.values()
            if name in ("*", field.name) or field.name.startswith(f"{name}.")
        ]
        # A name that stands for several gives those that * gives, if there are any.
        fields = [field for field in within if field.listed or field.name == name] or within
        if not fields:
            raise BadRequestError(f"fields has no property {shown(name)}; * gives all of them", field="fields")
        found.update((field.name, field) for field in fields)
    return names, list(found.values())


class Order(msgspec.Struct, frozen=True):
    field: Field
    descending: bool


def order(given: Parameters, catalogue: Catalogue) -> list[Order]:
    """The parameter sort: properties with commas between, a leading ``-`` is descending."""
    found = []
    for part in given.get("sort", "").split(","):
        name = part.strip()
        if not name:
            continue
        field = catalogue.fields.get(name.removeprefix("-"))
        if field is None:
            raise BadRequestError(
                f"sort has no property {shown(name)}; known are {', '.join(sorted(catalogue.fields))}", field="sort"
            )
        found.append(Order(field, name.startswith("-")))
    return found


def order_text(orders: list[Order]) -> str:
    """``start_time DESC``; what has no value comes last."""
    return ", ".join(
        f"{one.field.moment or one.field.expression} {'DESC' if one.descending else 'ASC'} NULLS LAST" for one in orders
    )


def one_field(given: Parameters, name: str, catalogue: Catalogue, kinds: Collection[Kind] = tuple(Kind)) -> Field:
    """A parameter that must name one property of these kinds."""
    text = given.get(name, "")
    if not text:
        raise BadRequestError(f"{name} is missing; it names a property", field=name)
    field = catalogue.fields.get(text)
    if field is None or field.kind not in kinds:
        fitting = sorted(field.name for field in catalogue.fields.values() if field.kind in kinds)
        raise BadRequestError(f"{name} must be one of {', '.join(fitting)}", field=name)
    return field


def file_format(given: Parameters) -> Literal["json", "csv"]:
    match given.get("format", "") or "json":
        case "json":
            return "json"
        case "csv":
            return "csv"
    raise BadRequestError("format must be json or csv", field="format")
