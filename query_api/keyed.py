"""Statements about the keys of rows: which rows pass, and what stands under given keys.

Versions of a row are merged for few keys sooner than for a table: first the keys are asked for, then their rows.
"""

import msgspec

from query_api.filters import Filter, Value
from query_api.paging import Extent
from query_api.shapes import Shape
from query_api.sql import Source, Statement, of_few, where
from schemas.times import EARLIEST, LATEST

#: Keys that are read by one thread.
_FEW = 100
#: Characters of a text in one parameter, which ClickHouse takes up to 128 KiB of: four bytes each, all escaped.
_PIECE = 15_000
#: Of rows with ``begins`` and ``ends``: the first and the last moment, microseconds since 1970 UTC.
_SPAN = "[toUnixTimestamp64Micro(min(begins)), toUnixTimestamp64Micro(max(ends))]"


def page_keys(source: Source, filter: Filter, wanted: Extent, timed: bool = False) -> Statement:
    """The keys of a page's rows, one array per key column; ``timed``: and the span of their times."""
    keys = ", ".join(source.keys)
    arrays = ", ".join(f"groupArray({key})" for key in source.keys)
    if timed:
        keys, arrays = f"{keys}, {_ends(source)}", f"{arrays}, {_SPAN}"
    chosen = Statement(
        f"SELECT {arrays} FROM (SELECT {keys} FROM {source.rows}{where(source, filter)}"  # noqa: S608
        f" ORDER BY {source.order} LIMIT {{limit:UInt64}} OFFSET {{offset:UInt64}})",
        {**filter.parameters, "limit": wanted.size, "offset": wanted.offset},
        format="JSONCompactEachRow",
    )
    return of_few(chosen, source, filter)


def newest_versions(source: Source, filter: Filter, limit: int, timed: bool = False) -> Statement:
    """Of the newest ``limit`` versions of rows that pass: the keys, one array per column, the time of the oldest
    (microseconds since 1970 UTC), how many there are, and the span of their times or null. No version is left out for
    a newer one."""
    if not filter.condition:
        # Of all rows the newest are found by the index on their times alone: those that are hidden are few.
        source = msgspec.structs.replace(source, always="")
    arrays = ", ".join(f"groupArray({key})" for key in source.keys)
    span, ends = (_SPAN, f", {_ends(source)}") if timed else ("NULL", "")
    return Statement(
        f"SELECT {arrays}, toUnixTimestamp64Micro(min({source.time})), count(), {span} FROM"  # noqa: S608
        f" (SELECT {', '.join(source.keys)}, {source.time}{ends} FROM {source.table}{where(source, filter)}"
        f" ORDER BY {source.time} DESC LIMIT {{limit:UInt64}})",
        {**filter.parameters, "limit": limit},
        format="JSONCompactEachRow",
    )


def some_keys(source: Source, filter: Filter, limit: int) -> Statement:
    """The keys of at most ``limit`` rows of which any version passes, one array per column, in no order."""
    arrays = ", ".join(f"groupArray({key})" for key in source.keys)
    return Statement(
        f"SELECT {arrays} FROM (SELECT DISTINCT {', '.join(source.keys)} FROM {source.table}{where(source, filter)}"  # noqa: S608
        " LIMIT {limit:UInt64})",
        {**filter.parameters, "limit": limit},
        format="JSONCompactEachRow",
    )


def page_of_keys(
    source: Source,
    filter: Filter,
    shape: Shape,
    keys: list[list[str]],
    newer: int | None,
    wanted: Extent,
    times: list[int] | None = None,
) -> Statement:
    """A page as ``page`` has it, of rows with these keys alone whose time is after ``newer``; ``times``: their span."""
    chosen = _of_keys(source, keys)
    # Told by the keys, and they were chosen by it.
    filter = msgspec.structs.replace(filter, of_keys="")
    late = "" if newer is None else f"{source.time} > fromUnixTimestamp64Micro({{newer:Int64}}, 'UTC')"
    aside = f"WITH {shape.aside} " if shape.aside else ""
    return Statement(
        f"{aside}SELECT {shape.columns} FROM {source.rows}{where(source, chosen.and_(filter), also=late)}"  # noqa: S608
        f" ORDER BY {source.order} LIMIT {{limit:UInt64}} OFFSET {{offset:UInt64}}",
        {
            **chosen.parameters,
            **filter.parameters,
            **({} if newer is None else {"newer": newer}),
            **_aside(shape, times),
            "limit": wanted.size,
            "offset": wanted.offset,
        },
        {**shape.settings, **_threads(keys)},
        "Template",
    )


def rows_of_keys(source: Source, keys: list[list[str]], shape: Shape, times: list[int] | None = None) -> Statement:
    """The rows with these keys, in order, as they are now; ``times``: their span, where it is known."""
    chosen = _of_keys(source, keys)
    aside = f"WITH {shape.aside} " if shape.aside else ""
    statement = Statement(
        f"{aside}SELECT {shape.columns} FROM {source.rows}{where(source, chosen)} ORDER BY {source.order}",  # noqa: S608
        {**chosen.parameters, **_aside(shape, times)},
        {**shape.settings, **_threads(keys)},
        "Template",
    )
    if len(keys[0]) == 1 and any(len(column[0]) > _PIECE for column in keys):
        return _in_pieces(statement, keys)
    return statement


def keys_into(source: Source, filter: Filter, table: str, constant: Filter, limit: int) -> Statement:
    """Stores the keys of the rows in their order: columns ``n`` from 1 and the keys; ``constant`` is what comes first,
    a list of expressions with their values."""
    keys = ", ".join(source.keys)
    return Statement(
        f"INSERT INTO {table} (snapshot, n, {keys}) SELECT {constant.where},"  # noqa: S608
        f" row_number() OVER (ORDER BY {source.order}) AS n, {keys}"
        f" FROM {source.rows}{where(source, filter)} ORDER BY n LIMIT {{limit:UInt64}}",
        {**filter.parameters, **constant.parameters, "limit": limit},
        format="",
    )


def _ends(source: Source) -> str:
    return f"{source.time} AS begins, {source.until or source.time} AS ends"


def _aside(shape: Shape, times: list[int] | None) -> dict[str, Value]:
    """The span of a page's times, for what stands aside."""
    first, last = times or (EARLIEST, LATEST)
    return {"first": first, "last": last} if shape.aside else {}


def _of_keys(source: Source, keys: list[list[str]]) -> Filter:
    names = [f"k{n}" for n in range(len(source.keys))]
    arrays = ", ".join(f"{{{name}:Array(String)}}" for name in names)
    return Filter(f"({', '.join(source.keys)}) IN arrayZip({arrays})", dict(zip(names, keys, strict=True)))


def _in_pieces(statement: Statement, keys: list[list[str]]) -> Statement:
    """The same with the texts of the one key put together of several parameters: a sensor may name a session by more
    than one takes."""
    text, values = statement.sql, dict(statement.parameters)
    for n, (whole,) in enumerate(keys):
        del values[f"k{n}"]
        pieces = {f"k{n}_{first}": whole[first : first + _PIECE] for first in range(0, max(len(whole), 1), _PIECE)}
        values |= pieces
        joined = ", ".join(f"{{{name}:String}}" for name in pieces)
        text = text.replace(f"{{k{n}:Array(String)}}", f"[concat({joined}, '')]")
    return msgspec.structs.replace(statement, sql=text, parameters=values)


def _threads(keys: list[list[str]]) -> dict[str, str]:
    """Few rows by their keys: to divide the merge of their versions among threads costs more than the merge."""
    return {"max_threads": "1"} if len(keys[0]) <= _FEW else {}
