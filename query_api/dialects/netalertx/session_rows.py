"""Sessions as objects: of a device, of the list, of the calendar."""

from zoneinfo import ZoneInfo

from query_api.dialects.netalertx import columns as of
from query_api.shapes import Member, Shape

_GREEN, _ORANGE = "#00a659", "#f39c12"


def _documented(zone: ZoneInfo) -> tuple[Member, ...]:
    return (
        Member("ses_MAC", "mac"),
        Member("ses_Connection", of.connection(zone)),
        Member("ses_Disconnection", of.disconnection(zone)),
        Member("ses_Duration", of.DURATION),
        Member("ses_IP", "client_ip"),
        Member("ses_Info", of.SHOWN_INFO),
    )


def of_device(zone: ZoneInfo) -> Shape:
    """The document's members, and the one that the product's page sorts by."""
    return Shape((*_documented(zone), Member("ses_DateTimeOrder", of.raw(of.ORDER, zone))))


def of_list(zone: ZoneInfo) -> Shape:
    """The document's members, and the columns of the product's table, which is what the product answers."""
    return Shape(
        (
            *_documented(zone),
            Member("ses_EventTypeConnection", of.START_KIND),
            Member("ses_DateTimeConnection", of.raw(of.START, zone)),
            Member("ses_EventTypeDisconnection", of.END_KIND),
            Member("ses_DateTimeDisconnection", of.raw(of.END, zone)),
            Member("ses_StillConnected", f"toUInt8({of.STILL_CONNECTED})"),
            Member("ses_AdditionalInfo", f"nullIf({of.INFO}, '')"),
        )
    )


def of_calendar(zone: ZoneInfo) -> Shape:
    """Events of FullCalendar. A missing start is the last end before it, else an hour; a missing end the next start.

    ``ended_before`` and ``began_after`` are columns of calendar.WITHIN (netalertx-facts 1.5).
    """
    start = f"if({of.NO_START}, ifNull(ended_before, {of.END} - INTERVAL 1 HOUR), {of.START})"
    end = f"multiIf(state = 'open', greatest(now64(6, 'UTC'), started_at), {of.NO_END}, began_after, {of.END})"
    tooltip = (
        f"concat('Connection: ', {of.connection(zone)}, '\\nDisconnection: ',"
        f" {of.disconnection(zone, '<still connected>')}, '\\nIP: ', client_ip)"
    )
    return Shape(
        (
            Member("resourceId", "mac"),
            Member("title", "''"),
            Member("start", of.iso(start, zone)),
            Member("end", of.iso(end, zone)),
            Member("color", f"if({of.NO_START} OR {of.NO_END}, '{_ORANGE}', '{_GREEN}')"),
            Member("tooltip", tooltip),
            Member("className", "'no-border'"),
        )
    )
