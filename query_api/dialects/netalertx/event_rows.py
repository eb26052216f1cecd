"""Rows of ``session-events``: arrays of fifteen columns, of events of devices or of their sessions (facts 1.7)."""

from collections.abc import Mapping
from types import MappingProxyType

from query_api.dialects.netalertx import columns as of
from query_api.dialects.netalertx.form import Form
from query_api.dialects.netalertx.names import OWNER, name_else
from query_api.filters import EVERYTHING, Filter
from query_api.shapes import Member, Shape

#: What happened to a device: kinds of its own, and whatever else NetAlertX calls an event.
_OF_DEVICES = "mac != '' AND (startsWith(kind, 'device.') OR JSONHas(details, 'eve_EventType'))"
_SINCE = "time >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')"
#: ``type`` of events; the others are of sessions.
EVENT_TYPES: Mapping[str, Filter] = MappingProxyType(
    {
        "all": EVERYTHING,
        "voided": Filter("kind = 'device.voided'"),
        "new": Filter("kind = 'device.new'"),
        "down": Filter("kind = 'device.down'"),
    }
)
SESSION_TYPES = ("sessions", "missing")

#: An address as a number, to sort by; -1 for what is none. IPv6 has 128 bits, and so has the number.
IP_NUMBER = (
    "multiIf(position(client_ip, ':') > 0 AND isIPv6String(client_ip),"
    " toString(reinterpretAsUInt128(reverse(assumeNotNull(IPv6StringToNumOrNull(client_ip))))),"
    " isIPv4String(client_ip), toString(toUInt32(assumeNotNull(toIPv4OrNull(client_ip)))), '-1')"
)
_NAME = name_else("mac")
_NOTHING = "CAST(NULL AS Nullable(String))"


class ArrayShape(Shape, frozen=True):
    """Rows are arrays: the names of members are only for reading this."""

    @property
    def settings(self) -> dict[str, str]:
        row = ",".join(f"${{f{n}:{'Raw' if member.raw else 'JSON'}}}" for n, member in enumerate(self.members))
        return {**super().settings, "format_template_row_format": f"[{row}]"}


def events_since(since: int) -> Filter:
    return Filter(f"{_OF_DEVICES} AND {_SINCE}", {"since": since})


def event_shape(form: Form) -> Shape:
    return ArrayShape(
        (
            Member("order", of.raw("time", form)),
            Member("name", _NAME),
            Member("owner", OWNER),
            Member("time", form.written("time")),
            Member("type", "data"),
            *(Member(name, _NOTHING) for name in ("connection", "disconnection", "duration", "seconds")),
            Member("ip", "client_ip"),
            Member("ip_number", IP_NUMBER, raw=True),
            Member("info", "content"),
            Member("still_connected", _NOTHING),
            Member("mac", "mac"),
            Member("pending", "toUInt8(JSONExtractInt(details, 'eve_PendingAlertEmail') != 0)"),
        )
    )


def session_shape(form: Form) -> Shape:
    """In the product's form what lasts has its duration until now here, and nowhere else."""
    seconds = of.LIVE_SECONDS if form.product else of.SECONDS
    return ArrayShape(
        (
            Member("order", of.raw(of.ORDER, form)),
            Member("name", _NAME),
            Member("owner", OWNER),
            Member("time", _NOTHING),
            Member("type", _NOTHING),
            Member("connection", of.connection(form)),
            Member("disconnection", of.disconnection(form)),
            Member("duration", f"ifNull({form.lasted(seconds)}, '{of.DOTS}')"),
            Member("seconds", f"ifNull({seconds}, 0)"),
            Member("ip", "client_ip"),
            Member("ip_number", IP_NUMBER, raw=True),
            Member("info", of.INFO),
            Member("still_connected", f"toUInt8({of.STILL_CONNECTED})"),
            Member("mac", "mac"),
            Member("pending", "0"),
        )
    )
