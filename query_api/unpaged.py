"""Answers without paging: everything, newest first, in windows of time, with constant memory on both sides.

The windows come from one count per hour. An hour that holds far more than a window is counted by the minute, such a
minute by the second. Each window is one query under the normal limits. Rows that are stored meanwhile appear where
their time has not been read yet (hard-questions: unpaged answers).
"""

from collections.abc import AsyncIterator

import msgspec

from query_api import sql
from query_api.filters import EVERYTHING
from query_api.listing import Listing, count, count_of, few_rows, pattern_error, together
from query_api.reader import InvalidPatternError, Reader
from query_api.sql import Span
from schemas.times import SECOND

#: Seconds of a bucket, coarse to fine.
_BUCKETS = (3600, 60, 1)
#: A window of several times the wanted rows is looked at with finer buckets.
_CROWDED = 2


class Plan(msgspec.Struct, frozen=True):
    """What is known before the first row is read: nothing has been answered yet, errors still have a status."""

    #: 0 where it is not asked for.
    total: int
    matched: int
    windows: list[Span]
    listing: Listing
    #: Rows after which the answer is cut, 0 for never.
    limit: int
    #: All rows, where they were so few that they are read already.
    ready: bytes = b""

    @property
    def cut(self) -> bool:
        return 0 < self.limit < self.matched


class Window(msgspec.Struct, frozen=True):
    span: Span
    rows: int


async def plan(reader: Reader, listing: Listing, window_rows: int, limit: int, *, total: bool = False) -> Plan:
    """Counts and windows; ``total``: how many rows there are besides those that match. Raises ApiError."""
    try:
        stored, windows = await together(
            count(reader, listing.source, EVERYTHING) if total else _nothing(),
            _windows(reader, listing, None, window_rows, 0),
        )
    except InvalidPatternError:
        raise await pattern_error(reader, listing.filter) from None
    matched = sum(window.rows for window in windows)
    return Plan(stored, matched, _needed(windows, limit), listing, limit)


async def plan_uncounted(reader: Reader, listing: Listing, window_rows: int, limit: int) -> Plan:
    """The same for an answer that says no number: a few rows are read at once, and windows go by versions of rows,
    which need not be merged for that: each current version lies in one of them. Raises ApiError."""
    ready = await few_rows(reader, listing)
    if ready is not None and (not limit or count_of(ready) <= limit):
        return Plan(0, count_of(ready), [], listing, limit, ready)
    versions = msgspec.structs.replace(listing, source=msgspec.structs.replace(listing.source, final=False))
    found = await plan(reader, versions, window_rows, limit)
    if found.cut:
        # Perhaps not, if versions are left out.
        return await plan(reader, listing, window_rows, limit)
    return msgspec.structs.replace(found, listing=listing)


async def rows(reader: Reader, planned: Plan) -> AsyncIterator[bytes]:
    """The rows as JSON text with commas between, in chunks. Raises ApiError where a window fails."""
    if planned.ready:
        yield planned.ready
    left = planned.limit
    begun = False
    listing = planned.listing
    for span in planned.windows:
        statement = sql.window(listing.source, listing.filter, listing.shape, span, left)
        sent = 0
        async with reader.stream(statement) as chunks:
            async for chunk in chunks:
                if not sent:
                    sent = 1
                    if begun:
                        yield b",\n"
                    begun = True
                sent += chunk.count(b"\n")
                yield chunk
        if planned.limit:
            left -= sent
            if left <= 0:
                return


async def _windows(reader: Reader, listing: Listing, span: Span | None, rows: int, fineness: int) -> list[Window]:
    seconds = _BUCKETS[fineness]
    found: list[Window] = []
    asked = sql.windows(listing.source, listing.filter, span, seconds, rows)
    for oldest, newest, held in await reader.records(asked):
        window = Window(Span(int(oldest) * SECOND, (int(newest) + seconds) * SECOND), int(held))
        if window.rows > _CROWDED * rows and fineness + 1 < len(_BUCKETS):
            found += await _windows(reader, listing, window.span, rows, fineness + 1)
        else:
            found.append(window)
    return found


async def _nothing() -> int:
    return 0


def _needed(windows: list[Window], limit: int) -> list[Span]:
    """The windows that a cut answer reaches, and one more: rows may go between the count and the reading."""
    if not limit:
        return [window.span for window in windows]
    reached, spans = 0, []
    for window in windows:
        spans.append(window.span)
        if reached >= limit:
            break
        reached += window.rows
    return spans
