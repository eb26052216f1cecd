"""Sessions counted: by the values of a property, and over time or along a number (sps-facts 1.5)."""

from typing import Literal

import msgspec
from aiohttp import web

from query_api import sql
from query_api.dialects.sps import answers, request
from query_api.dialects.sps.fields import Field, Kind, moment
from query_api.dialects.sps.paths import SESSIONS_PATH
from query_api.dialects.sps.session_fields import SESSION
from query_api.dialects.sps.sessions import CHOOSING, chosen_sessions
from query_api.errors import BadRequestError
from query_api.filters import Filter
from query_api.keys import reader_of
from query_api.reader import Reader
from query_api.sources import SESSIONS
from query_api.sql import Statement

#: Values of a property that are counted, without and at most with ``size``.
_SIZE, _LARGEST_SIZE = 10, 1000
#: Bins of one histogram.
_BINS = 10_000
_INTERVALS = ("minute", "hour", "day", "week", "month", "year")


class SpsBucket(msgspec.Struct, omit_defaults=True):
    """How many sessions have a value."""

    value: str | int | bool
    count: int
    buckets: list["SpsBucket"] | None = None


class SpsBuckets(msgspec.Struct):
    """The answer's body."""

    field: str
    buckets: list[SpsBucket]


async def stats(http: web.Request) -> web.Response:
    """GET …/stats?field=&sub_fields=&size=: the most frequent values, and those of a second property within each."""
    given = request.parameters(http, ("field", "sub_fields", "size", *CHOOSING))
    field = request.one_field(given, "field", SESSION)
    inner = request.one_field(given, "sub_fields", SESSION) if given.get("sub_fields") else None
    size = min(request.whole_number(given, "size", _SIZE, 1), _LARGEST_SIZE)
    chosen = chosen_sessions(given)
    reader = reader_of(http)
    found = await reader.records(sql.tally(SESSIONS, _known(field, chosen), [_value(field)], size))
    buckets = [SpsBucket(msgspec.json.decode(value), count) for value, count in found]
    if inner is not None and buckets:
        values = [value for value, _ in found]
        within = await _within(reader, chosen, field, inner, values, size)
        for value, bucket in zip(values, buckets, strict=True):
            bucket.buckets = within[value]
    return _answer("stats", SpsBuckets(field.name, buckets))


async def _within(
    reader: Reader, chosen: Filter, field: Field, inner: Field, values: list[str], size: int
) -> dict[str, list[SpsBucket]]:
    """The buckets of ``inner`` in each of the values of ``field``."""
    both = _known(inner, _known(field, chosen))
    among = Filter(f"{_value(field)} IN {{values:Array(String)}}", {"values": values})
    found = await reader.records(sql.tally(SESSIONS, both.and_(among), [_value(field), _value(inner)], size, each=True))
    within: dict[str, list[SpsBucket]] = {value: [] for value in values}
    for value, second, count in found:
        within[value].append(SpsBucket(msgspec.json.decode(second), count))
    return within


async def histogram(http: web.Request) -> web.Response:
    """GET …/histogram?field=&bin-size=: how many sessions lie in each bin; bins without any are left out."""
    given = request.parameters(http, ("field", "bin-size", *CHOOSING))
    field = request.one_field(given, "field", SESSION, (Kind.TIME, Kind.INT))
    statement = _bins(field, given.get("bin-size", ""), _known(field, chosen_sessions(given)))
    found = await reader_of(http).records(statement)
    if len(found) > _BINS:
        raise BadRequestError(f"there are more than {_BINS} bins; take larger ones or filter more", field="bin-size")
    return _answer(
        "histogram", SpsBuckets(field.name, [SpsBucket(msgspec.json.decode(value), count) for value, count in found])
    )


def _bins(field: Field, size: str, chosen: Filter) -> Statement:
    """The histogram of one property: ``size`` is a word for a time, a whole number for a number."""
    if field.kind is Kind.TIME:
        if (size or "hour") not in _INTERVALS:
            raise BadRequestError(f"bin-size must be one of {', '.join(_INTERVALS)}", field="bin-size")
        begins = f"toDateTime64(date_trunc('{size or 'hour'}', {field.moment}, 'UTC'), 0, 'UTC')"
        shown = f"toJSONString({moment('bin', '+00:00')})"
        return sql.histogram(SESSIONS, chosen, begins, shown, _BINS + 1)
    width = request.whole_number({"bin-size": size}, "bin-size", 60, 1)
    if width > 2**31:
        raise BadRequestError(f"bin-size must be at most {2**31}", field="bin-size")
    number = f"toInt64(floor({field.expression} / {{width:Int64}})) * {{width:Int64}}"
    widened = chosen.and_(Filter("true", {"width": width}))
    return sql.histogram(SESSIONS, widened, number, "toJSONString(bin)", _BINS + 1)


def _known(field: Field, chosen: Filter) -> Filter:
    """Those that have a value."""
    if field.kind in (Kind.KEYWORD, Kind.TEXT):
        return chosen.and_(Filter(f"ifNull({field.expression} != '', false)"))
    # A time as it is stored: to write it as text only to see that there is one takes longer than to count.
    return chosen.and_(Filter(f"isNotNull({field.moment if field.kind is Kind.TIME else field.expression})"))


def _value(field: Field) -> str:
    return f"assumeNotNull(toJSONString({field.expression}))"


def _answer(name: Literal["stats", "histogram"], counted: SpsBuckets) -> web.Response:
    meta = {"href": f"{SESSIONS_PATH}/{name}", "parent": SESSIONS_PATH}
    return answers.json_response({"body": counted, "key": name, "meta": meta})
