"""GET: a list of sessions, and one session."""

import time
from collections.abc import AsyncIterator, Mapping

import msgspec
from aiohttp import web

from query_api import sql
from query_api.answers import page_response, stream_response
from query_api.dialects.fudo import rows
from query_api.dialects.fudo.caller import Caller, Prepared, caller_of
from query_api.dialects.fudo.request import FIELDS, OF_LIST, OF_ONE, Request, parse
from query_api.errors import BadRequestError, NotFoundError
from query_api.filters import Filter
from query_api.keys import SETTINGS
from query_api.limits import unpaged_limit
from query_api.listing import Listing, count, read_rows, together
from query_api.paging import REACH_LIMIT, SIZE_LIMIT, Slice
from query_api.reader import Reader
from query_api.unpaged import plan
from query_api.unpaged import rows as unpaged_rows

MEMBER = "session"
#: Memory after which a long list that is not in the order of time is sorted on disk, bytes.
_SORT_MEMORY = "268435456"


async def sessions(request: web.Request) -> web.StreamResponse:
    """Newest first where no order is asked for; all of them where no limit is."""
    await no_body(request)
    began = time.monotonic()
    caller = caller_of(request)
    asked = parse(request.rel_url.raw_query_string, OF_LIST, caller.zone)
    if asked.limit is None or asked.limit > SIZE_LIMIT:
        return await _everything(request, asked, _listing(caller, asked), caller.reader, began)
    total, found = await page(caller, asked, asked.limit)
    return page_response(head(asked, total, began), MEMBER, found)


async def session(request: web.Request) -> web.StreamResponse:
    await no_body(request)
    began = time.monotonic()
    caller = caller_of(request)
    asked = parse(request.rel_url.raw_query_string, OF_ONE, caller.zone)
    found = await one_session(caller, request.match_info["id"], asked)
    return answered(head(asked, None, began) | {MEMBER: msgspec.Raw(found)})


async def page(caller: Caller, asked: Request, limit: int) -> tuple[int | None, bytes]:
    """How many pass where that is asked for, and so many rows as JSON text with commas between."""
    listing = _listing(caller, asked)
    wanted = Slice(limit, asked.offset)
    counted = count(caller.reader, listing.source, listing.filter) if asked.total_count else _nothing()
    total, found = await together(counted, read_rows(caller.reader, listing, wanted) if limit else _no_rows())
    return total, found


def _listing(caller: Caller, asked: Request) -> Listing:
    zone = caller.zone
    shape = rows.everything(zone, with_size=False) if asked.fields is None else rows.chosen(asked.fields, zone)
    return Listing(source=asked.source, shape=shape, filter=asked.filter)


async def one_session(caller: Caller, session_id: str, asked: Request) -> bytes:
    """The object of a session; of several with this id, under different sensors, the newest. Raises NotFoundError."""
    zone = caller.zone
    shape = rows.everything(zone, with_size=True) if asked.fields is None else rows.chosen(asked.fields, zone)
    listing = Listing(source=asked.source, shape=shape, filter=of_id(session_id))
    found = await read_rows(caller.reader, listing, Slice(1))
    if not found:
        raise NotFoundError("Object not found")
    return found


def of_id(session_id: str) -> Filter:
    return Filter("session_id = {id:String}", {"id": session_id})


async def no_body(request: web.Request) -> None:
    """Raises BadRequestError when a GET or DELETE has one."""
    if await request.read():
        raise BadRequestError("Request body is not allowed for this endpoint")


def answered(members: Mapping[str, object], status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(members) + b"\n", status=status, content_type="application/json")


async def written(caller: Caller, prepared: Prepared, is_visible: bool) -> tuple[int, dict[str, object]]:
    """Status and members of the answer to a write that was made; what reads do not show yet is 202 and says so."""
    if not is_visible:
        return 202, {**prepared.members, "pending": True}
    if prepared.read is None:
        return prepared.status, prepared.members
    session_id, asked = prepared.read
    return prepared.status, {**prepared.members, MEMBER: msgspec.Raw(await one_session(caller, session_id, asked))}


async def _everything(
    request: web.Request, asked: Request, listing: Listing, reader: Reader, began: float
) -> web.StreamResponse:
    """As a stream with constant memory: by windows of time, or as one sorted result in another order."""
    if listing.shape.aside:
        raise BadRequestError(f"fields: size needs a limit of at most {SIZE_LIMIT}", field=FIELDS)
    http = request.app[SETTINGS].http
    if asked.limit is None and not asked.ordered and not asked.offset:
        planned = await plan(reader, listing, http.unpaged_window, unpaged_limit(http))
        total = planned.matched if asked.total_count else None
        tail: dict[str, object] = {"next_offset": planned.limit} if planned.cut else {}
        return await stream_response(request, head(asked, total, began), MEMBER, unpaged_rows(reader, planned), tail)
    most = min(asked.limit or REACH_LIMIT, unpaged_limit(http) or REACH_LIMIT)
    matched = await count(reader, listing.source, listing.filter)
    left = max(0, matched - asked.offset)
    cut = left > most and (asked.limit is None or asked.limit > most)
    found = _sorted(reader, listing, Slice(most, asked.offset))
    # The first rows, before the status is sent: an error still has one of its own.
    first = await anext(found, b"")
    total = matched if asked.total_count else None
    tail = {"next_offset": asked.offset + most} if cut else {}
    return await stream_response(request, head(asked, total, began), MEMBER, _chained(first, found), tail)


async def _sorted(reader: Reader, listing: Listing, wanted: Slice) -> AsyncIterator[bytes]:
    statement = sql.page(listing.source, listing.filter, listing.shape, wanted)
    settings = {**statement.settings, "max_bytes_before_external_sort": _SORT_MEMORY}
    async with reader.stream(msgspec.structs.replace(statement, settings=settings)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in rest:
        yield chunk


async def _nothing() -> None:
    return None


async def _no_rows() -> bytes:
    return b""


def head(asked: Request, total: int | None, began: float) -> dict[str, object]:
    """What stands before the sessions."""
    head: dict[str, object] = {"result": "success"}
    if total is not None:
        head["total_count"] = total
    if asked.debug:
        head["debug"] = {"elapsed_ms": round((time.monotonic() - began) * 1000, 3)}
    return head
