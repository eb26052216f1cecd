"""Honeytrap's HTTP API: ``GET /events`` and ``GET /sessions`` (reference: honeytrap-http-api.txt)."""

from collections.abc import Callable

import msgspec
from aiohttp import web

from query_api.answers import page_response, stream_response
from query_api.dialects.honeytrap import rows
from query_api.dialects.honeytrap.document import HoneytrapQuery, HoneytrapRows
from query_api.dialects.honeytrap.request import NUMBER, SIZE, Request, parse
from query_api.documents import json_object, query_pairs
from query_api.filters import Filter, Names
from query_api.keys import SETTINGS, reader_of
from query_api.limits import unpaged_limit
from query_api.listing import Listing, read_page
from query_api.openapi.doors import Door
from query_api.paging import page_after
from query_api.shapes import Shape
from query_api.sources import EVENTS, SESSIONS
from query_api.sql import Source
from query_api.unpaged import plan
from query_api.unpaged import rows as unpaged_rows

#: Both answers have their items here, sessions too.
_ITEMS = "events"


Codes = Callable[[tuple[int, ...], Names], Filter]


class RowView(msgspec.Struct, frozen=True):
    """What differs between the two: where rows are, what they look like, what ``types`` filters."""

    source: Source
    shape: Callable[[bool], Shape]
    codes: Codes
    #: Column that the texts of ``types`` match.
    text: str
    #: Codes as hourly counts know them, where there are such counts.
    by_hour: Codes | None = None


EVENTS_VIEW = RowView(EVENTS, rows.event_shape, rows.event_codes, "kind", rows.kinds_of_codes)
SESSIONS_VIEW = RowView(SESSIONS, rows.session_shape, rows.session_codes, "protocol")


async def events(request: web.Request) -> web.StreamResponse:
    return await _answer(request, EVENTS_VIEW)


async def sessions(request: web.Request) -> web.StreamResponse:
    return await _answer(request, SESSIONS_VIEW)


async def _answer(request: web.Request, view: RowView) -> web.StreamResponse:
    asked = parse(json_object(await request.read()), query_pairs(request.rel_url.raw_query_string))
    reader = reader_of(request)
    wanted = listing(asked, view)
    if asked.page is not None:
        total, matched, found = await read_page(reader, wanted, asked.page)
        head = {SIZE: asked.page.size, NUMBER: asked.page.number, "total": total, "matched": matched}
        return page_response(head, _ITEMS, found)
    http = request.app[SETTINGS].http
    planned = await plan(reader, wanted, http.unpaged_window, unpaged_limit(http), total=True)
    tail: dict[str, object] = {}
    if planned.cut:
        after = page_after(planned.limit)
        tail["next_page"] = {SIZE: after.size, NUMBER: after.number}
    head = {"total": planned.total, "matched": planned.matched}
    return await stream_response(request, head, _ITEMS, unpaged_rows(reader, planned), tail)


def listing(asked: Request, view: RowView) -> Listing:
    """The rows of a view that a request asks for."""
    return Listing(
        source=view.source,
        shape=view.shape(asked.rfc3339),
        filter=filter_of(asked, view),
        by_hour=_filter(asked, view.by_hour, view.text) if view.by_hour is not None else None,
    )


def filter_of(asked: Request, view: RowView) -> Filter:
    """The rows of a view that pass a request's ``types`` and ``sensors``."""
    return _filter(asked, view.codes, view.text)


def _filter(asked: Request, codes: Codes, text: str) -> Filter:
    names = Names()
    return asked.sensor_filter(names).and_(asked.type_filter(names, codes, text))


_TEXT = (
    "The parameters may stand in a JSON object as body of the GET instead, by the same names: there `types` is a list "
    "of integers and texts. Without `response_per_page` everything is streamed."
)
#: A GET-only API, as its document says: HEAD is answered 405.
DOORS = (
    Door(
        method="GET",
        path="/events",
        handler=events,
        summary="Events, newest first",
        text=_TEXT,
        query=HoneytrapQuery,
        answer=HoneytrapRows,
    ),
    Door(
        method="GET",
        path="/sessions",
        handler=sessions,
        summary="Sessions, newest first",
        text=_TEXT,
        query=HoneytrapQuery,
        answer=HoneytrapRows,
    ),
)
