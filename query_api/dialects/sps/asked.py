"""Parameters of the query strings, for the check in front of the handlers and for the OpenAPI document."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_Query = Annotated[
    str,
    Meta(
        description="Terms field:value with AND, OR, NOT, parentheses, * and ?, phrases in quotes, ranges [1 TO 5]",
    ),
]
_Time = Annotated[str, Meta(description="ISO 8601, from 2017-01-25 to 2017-01-25T10:00:00.0000000+01:00")]
_Limit = Annotated[int, Meta(ge=1, description="Items of a page; what is too large is the largest")]
_Offset = Annotated[int, Meta(ge=0, description="Items before the page")]
_Field = Annotated[str, Meta(description="A property, such as protocol or client.ip")]


class Choosing(msgspec.Struct, kw_only=True):
    """Which sessions."""

    q: _Query | None = None
    content: Annotated[str, Meta(description="Words in the content of a session's events")] | None = None
    start: _Time | None = None
    end: _Time | None = None


class SessionsQuery(Choosing, kw_only=True):
    fields: Annotated[str, Meta(description="Properties with commas between; * for all")] | None = None
    sort: Annotated[str, Meta(description="Properties with commas between; -name is descending")] | None = None
    limit: _Limit | None = None
    offset: Annotated[int, Meta(ge=0, description="Sessions before the page; beyond 10,000 it is ignored")] | None = (
        None
    )
    format: Literal["", "json", "csv"] | None = None
    snapshot: Annotated[str, Meta(description="Id of a snapshot, from _snapshot")] | None = None
    search_after: Annotated[int, Meta(ge=0, description="Of a snapshot: place of the last session seen")] | None = None


class StatsQuery(Choosing, kw_only=True):
    field: _Field
    sub_fields: _Field | None = None
    size: Annotated[int, Meta(ge=1, description="Values at most; 10 without")] | None = None


class HistogramQuery(Choosing, kw_only=True):
    field: Annotated[str, Meta(description="A time or a number")]
    bin_size: Annotated[str, Meta(description="minute, hour, day, week, month, year; of a number its width")] | None = (
        msgspec.field(name="bin-size", default=None)
    )


class PartQuery(msgspec.Struct, kw_only=True):
    """A part of a session."""

    limit: _Limit | None = None
    offset: _Offset | None = None


class EventsQuery(PartQuery, kw_only=True):
    q: _Query | None = None


class LoginQuery(msgspec.Struct, kw_only=True):
    login_method: Literal["local"] | None = None
    type: Literal["basic"] | None = None
