"""What Honeytrap's doors take and give, as their description says it."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from query_api.filters import LIST_LIMIT, PATTERN_LIMIT
from query_api.paging import REACH_LIMIT, SIZE_LIMIT

_Size = Annotated[int, Meta(ge=1, le=SIZE_LIMIT)]
_Number = Annotated[int, Meta(ge=1, le=REACH_LIMIT)]
_Pattern = Annotated[str, Meta(max_length=PATTERN_LIMIT)]


class HoneytrapFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows, and how: the parameters of a stream."""

    types: Annotated[
        list[Annotated[str, Meta(min_length=1)]],
        Meta(max_length=LIST_LIMIT, description="Codes, or RE2 regexes on the kind (on sessions: the protocol)"),
    ] = []
    sensors: Annotated[
        list[_Pattern], Meta(max_length=LIST_LIMIT, description="RE2 regexes on the sensor, any of which matches")
    ] = []
    time_format: Annotated[Literal["rfc3339"], Meta(description="Times in RFC 3339")] | None = None


class HoneytrapQuery(HoneytrapFilters, frozen=True, kw_only=True):
    """The parameters of a page, in the query string."""

    response_per_page: Annotated[_Size, Meta(description="Rows of a page; without it all rows are streamed")] | None = (
        None
    )
    responser_per_page: Annotated[_Size, Meta(description="The same, as the product spells it")] | None = None
    page: Annotated[_Number, Meta(description="Number of the page, from 1; needs response_per_page")] | None = None


class HoneytrapRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event or a session."""

    type: Annotated[int, Meta(description="Code of the kind; of a session 5 while open, 6 when closed")]
    sensor: str
    date: Annotated[str, Meta(description="day-month-year")]
    started: Annotated[str, Meta(description="day-month-year hour:minute:second:hundredths; empty when unknown")]
    ended: Annotated[str, Meta(description="The same; empty while open")]
    token: str
    location: str
    category: Annotated[str, Meta(description="Protocol, else the sensor's group of events")]
    hostAddr: Annotated[str, Meta(description="Client, ip:port")]  # noqa: N815 - the member's name in the document
    localAddr: Annotated[str, Meta(description="Server, ip:port")]  # noqa: N815 - the member's name in the document
    data: Annotated[str, Meta(description="The command or message")]
    details: dict[str, Any]
    session_id: str
    container_id: str


class HoneytrapNextPage(msgspec.Struct, frozen=True):
    """Where an answer that was cut goes on."""

    response_per_page: int
    page: int


class HoneytrapRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, newest first."""

    response_per_page: int | UnsetType = UNSET
    page: int | UnsetType = UNSET
    total: Annotated[int, Meta(ge=0, description="Rows that are stored")]
    matched: Annotated[int, Meta(ge=0, description="Rows that pass the filters")]
    events: list[HoneytrapRow]
    next_page: HoneytrapNextPage | UnsetType = UNSET
