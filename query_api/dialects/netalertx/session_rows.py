"""Sessions as objects: of a device, of the list, of the calendar."""

from query_api.dialects.netalertx import columns as of
from query_api.dialects.netalertx.form import Form
from query_api.shapes import Member, Shape

_GREEN, _ORANGE = "#00a659", "#f39c12"


def _documented(form: Form) -> tuple[Member, ...]:
    return (
        Member("ses_MAC", "mac"),
        Member("ses_Connection", of.connection(form)),
        Member("ses_Disconnection", of.disconnection(form)),
        Member("ses_Duration", of.duration(form)),
        Member("ses_IP", "client_ip"),
        Member("ses_Info", of.SHOWN_INFO),
    )


def of_device(form: Form) -> Shape:
    """The document's members, and the one that the product's page sorts by.

    Newer versions of that page read the same by other names: in the product's form both are there.
    """
    members = (*_documented(form), Member("ses_DateTimeOrder", of.raw(of.ORDER, form)))
    if not form.product:
        return Shape(members)
    return Shape((*members, *(Member(_newer(one.name), one.expression) for one in members)))


def _newer(name: str) -> str:
    """``sesMac`` for ``ses_MAC``."""
    word = name.removeprefix("ses_")
    return f"ses{word.capitalize() if word.isupper() else word}"


def of_list(form: Form) -> Shape:
    """The document's members, and the columns of the product's table, which is what the product answers."""
    return Shape(
        (
            *_documented(form),
            Member("ses_EventTypeConnection", of.START_KIND),
            Member("ses_DateTimeConnection", of.raw(of.START, form)),
            Member("ses_EventTypeDisconnection", of.END_KIND),
            Member("ses_DateTimeDisconnection", of.raw(of.END, form)),
            Member("ses_StillConnected", f"toUInt8({of.STILL_CONNECTED})"),
            Member("ses_AdditionalInfo", f"nullIf({of.INFO}, '')"),
        )
    )


def of_calendar(form: Form) -> Shape:
    """Events of FullCalendar. A missing start is the last end before it, else an hour; a missing end the next start.

    ``ended_before`` and ``began_after`` are columns of calendar.WITHIN (netalertx-facts 1.5).
    """
    start = f"if({of.NO_START}, ifNull(ended_before, {of.END} - INTERVAL 1 HOUR), {of.START})"
    end = f"multiIf(state = 'open', greatest(now64(6, 'UTC'), started_at), {of.NO_END}, began_after, {of.END})"
    tooltip = (
        f"concat('Connection: ', {of.connection(form)}, '\\nDisconnection: ',"
        f" {of.disconnection(form, '<still connected>')}, '\\nIP: ', client_ip)"
    )
    missing = f"{of.NO_START} OR {of.NO_END}"
    color = f"multiIf({missing}, '{_ORANGE}', {of.STILL_CONNECTED}, '{_GREEN}', '{form.closed_color}')"
    return Shape(
        (
            Member("resourceId", "mac"),
            Member("title", "''"),
            Member("start", of.iso(start, form)),
            Member("end", of.iso(end, form)),
            Member("color", color),
            Member("tooltip", tooltip),
            Member("className", "'no-border'"),
        )
    )
