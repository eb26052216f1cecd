"""Answers with rows: how many there are, how many pass, and a page of them."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec

from query_api import keyed, sql
from query_api.errors import BadRequestError, UnavailableError
from query_api.filters import EVERYTHING, Filter
from query_api.paging import Extent, Slice
from query_api.reader import InvalidPatternError, Reader
from query_api.shapes import BETWEEN, Shape
from query_api.sql import Source
from schemas.parameters import MOST, bytes_of, portions
from schemas.times import SECOND

#: A session may be removed between reading a page's keys and its rows: then the page is read again.
_PAGE_TRIES = 3

#: Pages that end within so many rows are looked for among the newest versions first.
_NEAR = 1000
#: Versions that are looked at for such a page: twice its rows, and some more.
_SPARE = 20
#: Rows are few where they are less.
_FEW = 4000


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: rows of ``source`` that pass ``filter``, each as ``shape`` says."""

    source: Source
    shape: Shape
    filter: Filter
    #: The same in terms of sensor and kind alone, where hourly counts can tell how far back a page reaches.
    by_hour: Filter | None = None


async def read_page(reader: Reader, listing: Listing, page: Extent) -> tuple[int, int, bytes]:
    """Total, matched, and the page's rows as JSON text with commas between. Raises ApiError."""
    total = count(reader, listing.source, EVERYTHING)
    rows = read_rows(reader, listing, page)
    try:
        if not listing.filter.condition:
            stored, found = await together(total, rows)
            return stored, stored, found
        matched = count(reader, listing.source, listing.filter)
        stored, passed, found = await together(total, matched, rows)
    except InvalidPatternError:
        raise await pattern_error(reader, listing.filter) from None
    return stored, passed, found


async def read_rows(reader: Reader, listing: Listing, page: Extent) -> bytes:
    """The rows of a page as JSON text with commas between. Raises ApiError or InvalidPatternError."""
    if listing.source.keys:
        return await _rows_by_keys(reader, listing, page)
    if listing.by_hour is not None:
        guess = await reader.records(sql.likely_since(listing.by_hour, page.offset + page.size))
        if guess:
            since = int(guess[0][0]) * SECOND
            rows = await reader.read(sql.page(listing.source, listing.filter, listing.shape, page, since))
            if count_of(rows) == page.size:
                # A full page of the newest rows: older ones cannot belong to it.
                return rows
    return await reader.read(sql.page(listing.source, listing.filter, listing.shape, page))


async def count(reader: Reader, source: Source, filter: Filter) -> int:
    """How many rows pass. Raises ApiError or InvalidPatternError."""
    statement = sql.count(source, filter)
    # Plain counts are cheap; what stands in for a table may change without it.
    return (
        await reader.number(statement)
        if not source.final or source.within
        else await reader.counted(statement, source.table)
    )


async def _rows_by_keys(reader: Reader, listing: Listing, page: Extent) -> bytes:
    source = listing.source
    reach = page.offset + page.size
    if reach <= _NEAR and not source.by and not source.within and listing.shape.rows_are_lines:
        rows = await _newest(reader, listing, page, 2 * reach + _SPARE)
        if rows is not None:
            return rows
    rows = b""
    for _ in range(_PAGE_TRIES):
        timed = bool(listing.shape.aside)
        found = (await reader.records(keyed.page_keys(listing.source, listing.filter, page, timed)))[0]
        keys, times = (found[:-1], found[-1]) if timed else (found, None)
        wanted = len(keys[0])
        if not wanted:
            return b""
        rows = await rows_by_keys(reader, source, keys, listing.shape, times)
        if count_of(rows) == wanted:
            break
    return rows


async def rows_by_keys(
    reader: Reader, source: Source, keys: list[list[str]], shape: Shape, times: list[int] | None = None
) -> bytes:
    """The rows with these keys, an array per key column, as JSON text with commas between; any number of any length.

    The keys are in the order of the source, or the source's order is that of its parameters ``k0``, ``k1`` ….
    ``times``: the span of the rows' times, where it is known.
    """
    # One after another: a page of any size takes the memory of its answer and no more.
    some = portions(zip(*keys, strict=True), _bytes_of)
    parts = [
        await reader.read(keyed.rows_of_keys(source, list(map(list, zip(*part, strict=True))), shape, times))
        for part in some
    ]
    return BETWEEN.encode().join(part for part in parts if part)


def _bytes_of(key: tuple[str, ...]) -> int:
    """Of its longest text: each column of keys is a parameter."""
    return max(map(bytes_of, key))


async def _newest(reader: Reader, listing: Listing, page: Extent, versions: int) -> bytes | None:
    """A page near the newest row without reading every session; None where so few versions do not tell.

    The newest versions that pass name candidates. Every row that passes and is newer than the oldest of them is a
    candidate, because its current version is one of them: so what is newer than that is complete.
    """
    source, filter, shape = listing.source, listing.filter, listing.shape
    candidates = keyed.newest_versions(source, filter, versions, bool(shape.aside))
    *columns, oldest, found, times = (await reader.records(candidates))[0]
    if not found:
        return b""
    keys = _different(columns)
    if sum(map(_bytes_of, zip(*keys, strict=True))) > MOST:
        return None
    whole = found < versions
    statement = keyed.page_of_keys(source, filter, shape, keys, None if whole else int(oldest), page, times)
    rows = await reader.read(statement)
    return rows if whole or count_of(rows) == page.size else None


async def few_rows(reader: Reader, listing: Listing) -> bytes | None:
    """All rows where they are few, by their versions; None where they are more, or no condition makes them few."""
    source = listing.source
    if not source.keys or source.by or source.within or not listing.filter.narrows:
        return None
    keys = (await reader.records(keyed.some_keys(source, listing.filter, _FEW)))[0]
    if not keys[0]:
        return b""
    whole = Slice(len(keys[0]))
    if whole.size == _FEW or sum(map(_bytes_of, zip(*keys, strict=True))) > MOST:
        return None
    return await reader.read(keyed.page_of_keys(source, listing.filter, listing.shape, keys, None, whole))


def _different(columns: list[list[str]]) -> list[list[str]]:
    """Each key once, an array per column."""
    return [list(column) for column in zip(*dict.fromkeys(zip(*columns, strict=True)), strict=True)]


def count_of(rows: bytes) -> int:
    return rows.count(b"\n") + 1 if rows else 0


async def pattern_error(reader: Reader, filter: Filter) -> BadRequestError:
    """Which regex ClickHouse refused, and why."""
    for pattern in filter.patterns:
        try:
            await reader.read(sql.pattern_check(pattern.text))
        except InvalidPatternError as error:
            return BadRequestError(f"{pattern.field} has an invalid regex (RE2): {error}", field=pattern.field)
    raise UnavailableError("ClickHouse refused a regex and then took it; try again")


async def together(*work: Awaitable[Any]) -> list[Any]:
    """All results in order; where one fails, or we are cancelled, the others are cancelled too."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
