"""What a request for sessions asks, pages of them by offset, and how many there are (sps-facts 1.4, 1.5)."""

from typing import Literal

import msgspec
from aiohttp import web

from query_api.dialects.sps import answers, csv_rows, links, request
from query_api.dialects.sps.body import item_shape
from query_api.dialects.sps.event_fields import content_of_sessions
from query_api.dialects.sps.fields import Field
from query_api.dialects.sps.paths import AUDIT, SESSIONS_PATH
from query_api.dialects.sps.query import query_filter
from query_api.dialects.sps.request import Order, Parameters, Window
from query_api.dialects.sps.session_fields import HREF, PRESENT, SESSION
from query_api.filters import EVERYTHING, Filter, Names
from query_api.keys import reader_of
from query_api.listing import Listing, read_rows, together
from query_api.listing import count as count_rows
from query_api.paging import Slice
from query_api.shapes import Shape
from query_api.sources import SESSIONS
from query_api.sql import Source

PATH = SESSIONS_PATH
PARENT = AUDIT

#: Microseconds before and after the times asked for in which events are looked at.
_AROUND = 3600 * 1_000_000

#: Parameters that choose sessions.
CHOOSING = ("q", "content", "start", "end")
#: In the order in which links repeat them, behind limit and offset.
_ECHOED = ("fields", *CHOOSING, "sort", "format")


class Asked(msgspec.Struct, frozen=True):
    """A request for sessions that was understood."""

    filter: Filter
    order: list[Order]
    names: list[str]
    fields: list[Field]
    format: Literal["json", "csv"]


async def page(http: web.Request, given: Parameters) -> web.Response:
    """A page of the sessions as they are now, by limit and offset."""
    window = request.window(given, request.LIMIT, request.REACH)
    asked = understood(given)
    reader = reader_of(http)
    source = ordered(SESSIONS, asked.order)
    size = min(window.limit, request.REACH - window.offset)
    shape = shape_of(asked)
    listing = Listing(source=source, shape=shape, filter=asked.filter)
    found = read_rows(reader, listing, Slice(size, window.offset)) if size else _nothing()
    matched, rows = await together(count_rows(reader, SESSIONS, asked.filter), found)
    meta = meta_of(asked, given, window, matched)
    if isinstance(shape, csv_rows.CsvShape):
        return answers.csv_response(csv_rows.header(shape) + rows, "sessions.csv", meta)
    return answers.list_response(rows, meta)


async def count(http: web.Request) -> web.Response:
    """GET /api/audit/sessions/_count: the number alone."""
    chosen = chosen_sessions(request.parameters(http, CHOOSING))
    return answers.json_response({"count": await count_rows(reader_of(http), SESSIONS, chosen)})


def understood(given: Parameters) -> Asked:
    """Raises BadRequestError."""
    names, fields = request.chosen_fields(given, SESSION)
    return Asked(
        chosen_sessions(given),
        request.order(given, SESSION),
        names,
        fields,
        request.file_format(given),
    )


def chosen_sessions(given: Parameters) -> Filter:
    """What q, content, start and end let pass. Raises BadRequestError."""
    names = Names()
    chosen = EVERYTHING
    if query := given.get("q", "").strip():
        chosen = chosen.and_(query_filter(query, SESSION, "q", names))
    start, end = request.times(given)
    if content := given.get("content", "").strip():
        chosen = chosen.and_(_with_content(content, start, end, names))
    if start is not None:
        chosen = chosen.and_(_bounded(">=", start, "started_at", names))
    if end is not None:
        chosen = chosen.and_(_bounded("<", end, "ended_at", names))
    return chosen


def _with_content(content: str, start: int | None, end: int | None, names: Names) -> Filter:
    """Events lie between the ends of their session, but for what comes late: an hour more is looked at."""
    bounds = ""
    values: dict[str, int] = {}
    for comparison, micros in ((">=", start and start - _AROUND), ("<", end and end + _AROUND)):
        if micros is not None:
            name = names.next()
            bounds += f" AND time {comparison} fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')"
            values[name] = micros
    found = query_filter(content, content_of_sessions(bounds), "content", names)
    return Filter(parameters={**found.parameters, **values}, patterns=found.patterns, of_keys=found.condition)


def _bounded(comparison: Literal[">=", "<"], micros: int, column: str, names: Names) -> Filter:
    """``page_time`` lies between start and end of every session that has them, and has the index."""
    name = names.next()
    moment = f"fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')"
    compared = f"page_time {comparison} {moment} AND ifNull({column} {comparison} {moment}, false)"
    return Filter(f"({compared})", {name: micros})


def ordered(source: Source, order: list[Order]) -> Source:
    return msgspec.structs.replace(source, by=request.order_text(order))


def shape_of(asked: Asked) -> Shape:
    """Key and meta, and the body when any of its properties is asked for."""
    if asked.format == "csv":
        return csv_rows.csv_shape(asked.fields)
    return item_shape(asked.fields, PRESENT, HREF)


def meta_of(asked: Asked, given: Parameters, window: Window, count: int) -> dict[str, object]:
    paged = links.list_meta(PATH, PARENT, window, count, echoed(given), request.REACH)
    return {**paged, "fields": asked.names, "match_count": count}


def echoed(given: Parameters) -> Parameters:
    """What links repeat; fields always."""
    return {"fields": given.get("fields", ""), **{name: given[name] for name in _ECHOED if given.get(name)}}


async def _nothing() -> bytes:
    return b""
