"""The one SQL builder: a source of rows, a filter, an order and a page make the statements.

Statements are put together from text of our own; everything a user sent is a parameter.
"""

from typing import Literal

import msgspec

from query_api.filters import Filter, Value
from query_api.paging import Extent
from query_api.shapes import Shape

#: Counts as numbers, which they all are for a reader of JSON.
_NUMBERS = {"output_format_json_quote_64bit_integers": "0", "output_format_json_escape_forward_slashes": "0"}


#: Keys of rows whose versions are merged alone. To look each row of the table up among more of them takes as long as
#: to merge all. Skip indexes were used when they were looked for.
_SOME = {"max_rows_in_set": "50000", "set_overflow_mode": "throw", "use_skip_indexes_if_final": "0"}


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A table with a time order. ``always``: a condition on every row that exists for readers."""

    table: Literal["events", "sessions"]
    final: bool = False
    always: str = ""
    #: Column that pages and windows go by, newest first, and what breaks ties: together a total order.
    time: str
    ties: str
    #: Expression of the last moment of a row, where it lasts.
    until: str = ""
    #: What comes before the time in the order of pages, as text of our own: ``name ASC``; empty for newest first.
    by: str = ""
    #: What names one row, when pages are better read in two steps: keys first, then their rows.
    keys: tuple[str, ...] = ()
    #: A query of ours whose rows stand in for the table's; the filter brings the values of its parameters.
    within: str = ""

    @property
    def order(self) -> str:
        newest = f"{self.time} DESC, {self.ties}"
        return f"{self.by}, {newest}" if self.by else newest

    @property
    def rows(self) -> str:
        if self.within:
            return f"({self.within})"
        return f"{self.table} FINAL" if self.final else self.table


class Statement(msgspec.Struct, frozen=True):
    """SQL with ``{name:Type}`` placeholders, the values for them, and settings of the output format."""

    sql: str
    parameters: dict[str, Value] = {}
    settings: dict[str, str] = {}
    format: str = "TabSeparatedRaw"
    #: The same without a shortcut that ClickHouse may refuse with code 191: what is asked then.
    otherwise: "Statement | None" = None


class Span(msgspec.Struct, frozen=True):
    """Times from ``start`` to before ``end``, microseconds since 1970 UTC."""

    start: int
    end: int


def count(source: Source, filter: Filter) -> Statement:
    """How many rows pass."""
    counted = Statement(f"SELECT count() FROM {source.rows}{where(source, filter)}", filter.parameters)  # noqa: S608
    return of_few(counted, source, filter)


def parts(table: str) -> Statement:
    """A text that is another one after every change of the table on this server."""
    return Statement(
        "SELECT concat(toString(count()), '/', toString(sum(cityHash64(name, modification_time)))) FROM system.parts"
        " WHERE database = currentDatabase() AND table = {table:String} AND active",
        {"table": table},
    )


def page(source: Source, filter: Filter, shape: Shape, wanted: Extent, since: int | None = None) -> Statement:
    """The rows of a page, in order; ``since`` leaves out older ones (microseconds since 1970 UTC)."""
    newer = "" if since is None else f"{source.time} >= fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')"
    return Statement(
        f"SELECT {shape.columns} FROM {source.rows}{where(source, filter, also=newer)}"  # noqa: S608
        f" ORDER BY {source.order} LIMIT {{limit:UInt64}} OFFSET {{offset:UInt64}}",
        {
            **filter.parameters,
            **({} if since is None else {"since": since}),
            "limit": wanted.size,
            "offset": wanted.offset,
        },
        shape.settings,
        "Template",
    )


def rows(source: Source, filter: Filter, shape: Shape) -> Statement:
    """All rows, in order; the sort goes to disk before the memory limit is met."""
    return Statement(
        f"SELECT {shape.columns} FROM {source.rows}{where(source, filter)} ORDER BY {source.order}",  # noqa: S608
        filter.parameters,
        {**shape.settings, "max_bytes_before_external_sort": "268435456"},
        "Template",
    )


def likely_since(filter: Filter, rows: int) -> Statement:
    """The hour (seconds since 1970) from which on events_by_hour counts at least ``rows`` rows; no row if fewer.

    The filter is one on sensor and kind only. The roll-up may count events that are deleted by now: it is a guess.
    """
    return Statement(
        "SELECT max(toInt64(toUnixTimestamp(hour))) FROM ("  # noqa: S608
        "SELECT hour, sum(sum(events)) OVER (ORDER BY hour DESC) AS newer"
        f" FROM events_by_hour{where(None, filter)} GROUP BY hour) WHERE newer >= {{rows:UInt64}} HAVING count() > 0",
        {**filter.parameters, "rows": rows},
        format="JSONCompactEachRow",
    )


def one_row(source: Source, filter: Filter, values: list[str]) -> Statement:
    """Aggregates over all rows that pass."""
    aggregated = Statement(
        f"SELECT {', '.join(values)} FROM {source.rows}{where(source, filter)}",  # noqa: S608
        filter.parameters,
        _NUMBERS,
        "JSONCompactEachRow",
    )
    return of_few(aggregated, source, filter)


def tally(source: Source, filter: Filter, values: list[str], size: int, *, each: bool = False) -> Statement:
    """The most frequent ``size`` combinations of these expressions with their counts, or so many of each first one."""
    chosen = " LIMIT {size:UInt64}" + (" BY v0" if each else "")
    columns = ", ".join(f"{value} AS v{n}" for n, value in enumerate(values))
    names = ", ".join(f"v{n}" for n in range(len(values)))
    counted = Statement(
        f"SELECT {columns}, count() AS found FROM {source.rows}{where(source, filter)}"  # noqa: S608
        f" GROUP BY {names} ORDER BY found DESC, {names}{chosen}",
        {**filter.parameters, "size": size},
        _NUMBERS,
        "JSONCompactEachRow",
    )
    return of_few(counted, source, filter)


def groups(source: Source, filter: Filter, shape: Shape, by: str, order: str, wanted: Extent) -> Statement:
    """Rows with the same ``by`` as one each: the shape's members are aggregates of ours."""
    return Statement(
        f"SELECT {shape.columns} FROM {source.rows}{where(source, filter)}"  # noqa: S608
        f" GROUP BY {by} ORDER BY {order} LIMIT {{limit:UInt64}} OFFSET {{offset:UInt64}}",
        {**filter.parameters, "limit": wanted.size, "offset": wanted.offset},
        shape.settings,
        "Template",
    )


def histogram(source: Source, filter: Filter, begins: str, shown: str, limit: int) -> Statement:
    """How many rows there are in each bin, ascending; ``begins`` is where a row's bin begins, ``shown`` its value."""
    counted = Statement(
        f"SELECT {shown}, found FROM (SELECT {begins} AS bin, count() AS found"  # noqa: S608
        f" FROM {source.rows}{where(source, filter)} GROUP BY bin ORDER BY bin LIMIT {{limit:UInt64}})",
        {**filter.parameters, "limit": limit},
        _NUMBERS,
        "JSONCompactEachRow",
    )
    return of_few(counted, source, filter)


def windows(source: Source, filter: Filter, span: Span | None, seconds: int, rows: int) -> Statement:
    """Consecutive buckets of time, newest first, gathered until they hold about ``rows`` rows.

    One row each: start of the oldest bucket, start of the newest (seconds since 1970), number of rows.
    """
    bucket = f"toInt64(intDiv(toUnixTimestamp64Micro({source.time}), 1000000 * {{seconds:Int64}}))"
    planned = Statement(
        "SELECT min(bucket) * {seconds:Int64}, max(bucket) * {seconds:Int64}, sum(found) FROM ("  # noqa: S608
        " SELECT bucket, found, intDiv(sum(found) OVER (ORDER BY bucket DESC) - 1, {rows:UInt64}) AS part FROM ("
        f" SELECT {bucket} AS bucket, count() AS found FROM {source.rows}{where(source, filter, span)}"
        " GROUP BY bucket)) GROUP BY part ORDER BY part",
        {**filter.parameters, **_span(span), "seconds": seconds, "rows": rows},
        format="JSONCompactEachRow",
    )
    return of_few(planned, source, filter, span)


def window(source: Source, filter: Filter, shape: Shape, span: Span, limit: int) -> Statement:
    """The rows of one window, newest first; ``limit`` 0 is all of them."""
    bound = " LIMIT {limit:UInt64}" if limit else ""
    shown = Statement(
        f"SELECT {shape.columns} FROM {source.rows}{where(source, filter, span)} ORDER BY {source.order}{bound}",  # noqa: S608
        {**filter.parameters, **_span(span), **({"limit": limit} if limit else {})},
        # One second may hold more rows than fit: the sort goes to disk before the memory limit is met.
        {**shape.settings, "max_bytes_before_external_sort": "268435456"},
        "Template",
    )
    return of_few(shown, source, filter, span)


def pattern_check(text: str) -> Statement:
    """Fails with code 427 when the text is no RE2 regex."""
    return Statement("SELECT match('', {p:String})", {"p": text})


def of_few(statement: Statement, source: Source, filter: Filter, span: Span | None = None) -> Statement:
    """The same with the versions merged of those rows alone of which any version passes: the current version of a row
    that passes is one of them. Where they turn out to be more than a few ClickHouse stops, and all are merged."""
    if not source.final or not source.keys or source.within or not filter.narrows:
        return statement
    if filter.of_keys:
        # It finds the keys by itself, and is not to be worked out twice.
        return statement
    keys = ", ".join(source.keys)
    passing = f"({keys}) IN (SELECT {keys} FROM {source.table}{where(source, filter, span)})"  # noqa: S608
    plain = f"{source.rows}{where(source, filter, span)}"
    few = f"{source.rows}{where(source, filter, span, passing)}"
    return msgspec.structs.replace(
        statement, sql=statement.sql.replace(plain, few), settings={**statement.settings, **_SOME}, otherwise=statement
    )


def _span(span: Span | None) -> dict[str, Value]:
    return {} if span is None else {"start": span.start, "end": span.end}


def where(source: Source | None, filter: Filter, span: Span | None = None, also: str = "") -> str:
    """The WHERE clause that a filter is, with a space before it; empty for all rows."""
    conditions = [source.always if source is not None else "", filter.condition, filter.guard, also]
    if source is not None and span is not None:
        # Both bounds, always: either alone could read the whole table.
        conditions.append(
            f"{source.time} >= fromUnixTimestamp64Micro({{start:Int64}}, 'UTC')"
            f" AND {source.time} < fromUnixTimestamp64Micro({{end:Int64}}, 'UTC')"
        )
    held = [f"({condition})" for condition in conditions if condition]
    return " WHERE " + " AND ".join(held) if held else ""
