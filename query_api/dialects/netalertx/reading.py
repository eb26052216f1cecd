"""GET: sessions of all devices, of one, in a calendar, and beside events."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from aiohttp import web

from query_api import sql
from query_api.answers import JSON, page_response, stream_response
from query_api.dialects.netalertx import columns, event_pages, event_rows, session_rows
from query_api.dialects.netalertx.asked import begins, given, of_device
from query_api.dialects.netalertx.calendar import between, calendar
from query_api.dialects.netalertx.form import Form, form_of
from query_api.errors import BadRequestError
from query_api.filters import Filter, both
from query_api.keys import SETTINGS, reader_of
from query_api.limits import unpaged_limit
from query_api.listing import Listing, together
from query_api.sources import EVENTS, SESSIONS
from query_api.unpaged import plan_uncounted, rows

_ANY_DEVICE = of_device("")
_NOTHING = Filter("false")
_SUCCESS = {"success": True}


async def session_list(request: web.Request) -> web.StreamResponse:
    """Filters on both ends: a session without an end has not ended by any date."""
    form, asked = _form(request), given(request.rel_url.raw_query_string)
    filter = of_device(asked.get("mac", ""))
    if text := asked.get("start_date"):
        filter = filter.and_(columns.starting(begins(text, form.zone, "start_date")))
    if text := asked.get("end_date"):
        filter = filter.and_(columns.ending(form.ends(text, "end_date")))
    return await _sessions(request, Listing(source=SESSIONS, shape=session_rows.of_list(form), filter=filter))


async def device_sessions(request: web.Request) -> web.StreamResponse:
    form = _form(request)
    filter = of_device(request.match_info["mac"]).and_(columns.touching(_since(request, "1 day")))
    return await _sessions(request, Listing(source=SESSIONS, shape=session_rows.of_device(form), filter=filter))


async def session_calendar(request: web.Request) -> web.StreamResponse:
    form, asked = _form(request), given(request.rel_url.raw_query_string)
    start, end = asked.get("start", ""), asked.get("end", "")
    if not start or not end:
        raise BadRequestError("Missing start or end date", field="end" if start else "start")
    lasting = between(begins(start, form.zone, "start"), form.ends(end, "end"), whole=not form.product)
    statement = calendar(both([of_device(asked.get("mac", "")), lasting]), session_rows.of_calendar(form))
    async with reader_of(request).stream(statement) as chunks:
        # The first rows, before the status is sent: an error still has one of its own.
        first = await anext(chunks, b"")
        return await stream_response(request, _SUCCESS, "sessions", _chained(first, chunks), {})


async def session_events(request: web.Request) -> web.StreamResponse:
    """Of a type that is not known there are none, as in the product."""
    form = _form(request)
    asked = given(request.rel_url.raw_query_string)
    kind, began = asked.get("type", "all"), _since(request, "7 days")
    if kind in event_rows.SESSION_TYPES:
        chosen = columns.touching(began) if kind == "sessions" else columns.half_known(began)
        listing = Listing(source=SESSIONS, shape=event_rows.session_shape(form), filter=_ANY_DEVICE.and_(chosen))
    else:
        filter = event_rows.events_since(began).and_(event_rows.EVENT_TYPES.get(kind, _NOTHING))
        listing = Listing(source=EVENTS, shape=event_rows.event_shape(form), filter=filter)
    page = event_pages.wanted(asked, listing.source, listing.shape)
    if page is None:
        return await _streamed(request, listing, {}, "data")
    head, found = await event_pages.read(reader_of(request), listing, page)
    return page_response(head, "data", found)


async def totals(request: web.Request) -> web.StreamResponse:
    """How many rows each type of ``session-events`` has, in the order of the product's page."""
    began, reader = _since(request, "7 days"), reader_of(request)
    kinds = event_rows.EVENT_TYPES
    counted = ["count()", *(f"countIf({kinds[name].where})" for name in ("voided", "new", "down"))]
    touching, half = columns.touching(began), columns.half_known(began)
    events, sessions = await together(
        reader.records(sql.one_row(EVENTS, event_rows.events_since(began), counted)),
        reader.records(sql.one_row(SESSIONS, _ANY_DEVICE.and_(touching), ["count()", f"countIf({half.where})"])),
    )
    happened, voided, new, down = events[0]
    lasted, missing = sessions[0]
    return web.json_response([happened, lasted, missing, voided, new, down], content_type=JSON)


async def _sessions(request: web.Request, listing: Listing) -> web.StreamResponse:
    return await _streamed(request, listing, _SUCCESS, "sessions")


async def _streamed(request: web.Request, listing: Listing, head: dict[str, bool], member: str) -> web.StreamResponse:
    """All rows, newest first; where the limit cuts them, ``truncated`` says so."""
    http = request.app[SETTINGS].http
    planned = await plan_uncounted(reader := reader_of(request), listing, http.unpaged_window, unpaged_limit(http))
    tail: dict[str, object] = {"truncated": True} if planned.cut else {}
    return await stream_response(request, head, member, rows(reader, planned), tail)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in rest:
        yield chunk


def _since(request: web.Request, default: str) -> int:
    text = given(request.rel_url.raw_query_string).get("period", default)
    return _form(request).since(text, datetime.now(UTC))


def _form(request: web.Request) -> Form:
    return form_of(request.app[SETTINGS].netalertx)
