"""Answers with rows: how many there are, how many pass, and a page of them or all."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec

from query_api import sql
from query_api.errors import BadRequestError, UnavailableError
from query_api.filters import Filter, one_of_texts
from query_api.paging import Page
from query_api.reader import InvalidPatternError, Reader
from query_api.shapes import Shape
from query_api.sql import Source

#: A filter on sensors that leaves at most this many is turned into their names, which the sort key finds at once.
_NAMED_SENSORS = 1000
#: A session may be removed between reading a page's keys and its rows: then the page is read again.
_PAGE_TRIES = 3


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: rows of ``source`` that pass ``sensors`` and ``others``, each as ``shape`` says."""

    source: Source
    shape: Shape
    sensors: Filter
    others: Filter

    @property
    def filter(self) -> Filter:
        return self.sensors.and_(self.others)


class Counted(msgspec.Struct, frozen=True):
    """All stored rows, those that pass, and a filter that finds them as fast as we know."""

    total: int
    matched: int | None
    filter: Filter


async def counted(reader: Reader, listing: Listing) -> Counted:
    """Total, and the filter narrowed; ``matched`` only where it is known without another query."""
    total, filter = await together(
        reader.number(sql.count(listing.source, Filter())),
        _narrowed(reader, listing),
    )
    return Counted(total, None if listing.filter.where else total, filter)


async def read_page(reader: Reader, listing: Listing, page: Page) -> tuple[int, int, bytes]:
    """Total, matched, and the page's rows as JSON text with commas between. Raises ApiError."""
    try:
        found = await counted(reader, listing)
        if found.matched is not None:
            return found.total, found.matched, await _rows(reader, listing, found.filter, page)
        matched, rows = await together(
            reader.number(sql.count(listing.source, found.filter)), _rows(reader, listing, found.filter, page)
        )
    except InvalidPatternError:
        raise await pattern_error(reader, listing.filter) from None
    return found.total, matched, rows


async def _rows(reader: Reader, listing: Listing, filter: Filter, page: Page) -> bytes:
    if not listing.source.keys:
        return await reader.read(sql.page(listing.source, filter, listing.shape, page))
    rows = b""
    for _ in range(_PAGE_TRIES):
        keys = (await reader.records(sql.page_keys(listing.source, filter, page)))[0]
        wanted = len(keys[0])
        if not wanted:
            return b""
        rows = await reader.read(sql.rows_of_keys(listing.source, keys, listing.shape))
        if rows.count(b"\n") + 1 == wanted:
            return rows
    return rows


async def _narrowed(reader: Reader, listing: Listing) -> Filter:
    if not listing.sensors.where:
        return listing.others
    found = await reader.records(sql.sensors(listing.source, listing.sensors, _NAMED_SENSORS + 1))
    names: list[str] = found[0][0]
    if len(names) > _NAMED_SENSORS:
        return listing.filter
    return one_of_texts("sensor", names, "named").and_(listing.others)


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
