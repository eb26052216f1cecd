"""What NetAlertX's doors take and give, for the OpenAPI document. Names that are no identifiers of ours are its own."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from query_api.dialects.netalertx.asked import PERIOD
from query_api.dialects.netalertx.body import LABEL_LIMIT
from query_api.dialects.netalertx.devices import STATUSES
from query_api.dialects.netalertx.event_pages import MOST
from query_api.filters import PATTERN_LIMIT
from query_api.paging import REACH_LIMIT

Success = Annotated[bool, Meta(extra_json_schema={"const": True})]
_Mac = Annotated[str, Meta(description="Address of a device, in any case, with any separators or none")]
_Date = Annotated[str, Meta(description="YYYY-MM-DD, or a time; without a zone in that of the setting")]
_Period = Annotated[str, Meta(pattern=f"^{PERIOD}$", description="Such as 1 day, 7 days, 1 month")]
_Type = Annotated[str, Meta(description="all, sessions, missing, voided, new or down; of others there are none")]
_Label = Annotated[str, Meta(max_length=LABEL_LIMIT)]
_Truncated = Annotated[bool, Meta(description="The limit http.unpaged_rows has cut the answer")] | UnsetType


class NetAlertXListQuery(msgspec.Struct, kw_only=True):
    mac: _Mac | None = None
    start_date: Annotated[_Date, Meta(description="Sessions that began on this day or later")] | None = None
    end_date: Annotated[_Date, Meta(description="Sessions that ended on this day or before")] | None = None


class NetAlertXCalendarQuery(msgspec.Struct, kw_only=True):
    start: Annotated[_Date, Meta(min_length=1, description="First day")]
    end: Annotated[_Date, Meta(min_length=1, description="Last day, which belongs to the range")]
    mac: _Mac | None = None


class NetAlertXPeriodQuery(msgspec.Struct, kw_only=True):
    period: _Period | None = None


class NetAlertXEventsQuery(msgspec.Struct, kw_only=True):
    """All rows, or one page of them where any of the last five is there."""

    type: _Type | None = None
    period: _Period | None = None
    page: Annotated[int, Meta(ge=1, le=REACH_LIMIT, description="Number of the page, from 1")] | None = None
    limit: Annotated[int, Meta(ge=-1, le=MOST, description="Rows of a page; -1 is the most")] | None = None
    sortCol: Annotated[int, Meta(ge=0, le=14, description="Column to sort by")] | None = None  # noqa: N815
    sortDir: Literal["asc", "desc"] | None = None  # noqa: N815
    search: Annotated[str, Meta(max_length=PATTERN_LIMIT, description="Text that rows show")] | None = None


class NetAlertXDeviceSession(msgspec.Struct, kw_only=True):
    """Times as ``2025-08-01 10:00``, a duration as ``2h 0m``; ``...`` while it lasts.

    In the product's profile each is there a second time, by the names of its newer versions: ``sesConnection`` ….
    """

    ses_MAC: str  # noqa: N815 - the document's names
    ses_Connection: str  # noqa: N815
    ses_Disconnection: str  # noqa: N815
    ses_Duration: str  # noqa: N815
    ses_IP: str  # noqa: N815
    ses_Info: str  # noqa: N815
    ses_DateTimeOrder: str | None  # noqa: N815


class NetAlertXSession(msgspec.Struct, kw_only=True):
    """The document's members, then the columns of the product's table."""

    ses_MAC: str  # noqa: N815
    ses_Connection: str  # noqa: N815
    ses_Disconnection: str  # noqa: N815
    ses_Duration: str  # noqa: N815
    ses_IP: str  # noqa: N815
    ses_Info: str  # noqa: N815
    ses_EventTypeConnection: str  # noqa: N815
    ses_DateTimeConnection: str | None  # noqa: N815
    ses_EventTypeDisconnection: str | None  # noqa: N815
    ses_DateTimeDisconnection: str | None  # noqa: N815
    ses_StillConnected: Literal[0, 1]  # noqa: N815
    ses_AdditionalInfo: str | None  # noqa: N815


class NetAlertXCalendarItem(msgspec.Struct, kw_only=True):
    """An event of FullCalendar."""

    resourceId: str  # noqa: N815
    title: str
    start: str | None
    end: str | None
    color: str
    tooltip: str
    className: str  # noqa: N815


class NetAlertXSessions(msgspec.Struct, kw_only=True):
    success: Success
    sessions: list[NetAlertXSession]
    truncated: _Truncated = UNSET


class NetAlertXDeviceSessions(msgspec.Struct, kw_only=True):
    success: Success
    sessions: list[NetAlertXDeviceSession]
    truncated: _Truncated = UNSET


class NetAlertXCalendar(msgspec.Struct, kw_only=True):
    success: Success
    sessions: list[NetAlertXCalendarItem]


class NetAlertXEvents(msgspec.Struct, kw_only=True):
    """Rows of fifteen columns: order, name, owner, time, type, connection, disconnection, duration, seconds, address,
    address as a number, information, still connected, device, pending."""

    data: list[Annotated[list[str | int | None], Meta(min_length=15, max_length=15)]]
    truncated: _Truncated = UNSET
    total: Annotated[int, Meta(ge=0, description="Of a page: how many rows there are")] | UnsetType = UNSET
    recordsFiltered: Annotated[int, Meta(ge=0, description="How many of them the search finds")] | UnsetType = UNSET  # noqa: N815


#: All events, sessions, missing, voided, new, down; of devices all, connected, favorites, new, down, archived.
NetAlertXTotals = Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=6, max_length=6)]


class NetAlertXCreate(msgspec.Struct, kw_only=True):
    """A session; without an end it is open, and ends as any other of the device."""

    mac: _Mac
    ip: Annotated[str, Meta(description="IPv4 or IPv6")]
    start_time: Annotated[str, Meta(description="Such as 2025-08-01T10:00:00; without a zone in that of the setting")]
    end_time: str | None = None
    event_type_conn: _Label | None = "Connected"
    event_type_disc: _Label | None = "Disconnected"


class NetAlertXDelete(msgspec.Struct, kw_only=True):
    mac: _Mac


class NetAlertXWritten(msgspec.Struct, kw_only=True):
    """``pending``: reads do not show it yet."""

    success: Success
    message: str
    pending: bool | UnsetType = UNSET


class NetAlertXStatusQuery(msgspec.Struct, kw_only=True):
    status: Annotated[Literal[tuple(STATUSES)], Meta(description="Devices that are so; all without it")] | None = None  # type: ignore[valid-type]


class NetAlertXDevice(msgspec.Struct, kw_only=True):
    """What its sessions say of a device."""

    id: str
    title: str
    favorite: Literal[0]
    devMac: str  # noqa: N815
    devName: Annotated[str, Meta(description="Its name, else its address")]  # noqa: N815
    devOwner: str  # noqa: N815
    devLastIP: str  # noqa: N815
    devPresentLastScan: Literal[0, 1]  # noqa: N815
    devFirstConnection: str  # noqa: N815
    devLastConnection: str  # noqa: N815
