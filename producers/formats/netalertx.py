"""NetAlertX's events of devices, and scans of a network (docs/formats/netalertx.md; hard-questions: NetAlertX tables).

A row of its table Events is one JSON object by the names of the columns; `sojourn produce netalertx` makes them of CSV
and SQLite files, and of a SQLite file's table Devices, which says what devices are called. A line of a scan is
``{time, mac, ip, name?, vendor?}``: a device that was seen.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from producers.formats.decoded import Decoded, Rejection
from producers.formats.json_object import Fields, not_utf8
from producers.formats.labels import kind_of
from producers.formats.lines import LineReader, Read, fields_or_repaired
from producers.formats.moments import Moment
from schemas.dead_letters import Reason
from schemas.kinds import OTHER
from schemas.records import Action, Connection, Event

#: The sensor's name where a row does not say it.
NETALERTX = "netalertx"

#: Kinds of NetAlertX that open and close; they compare without case. All others are events.
ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "new device": Action.CONNECT,
        "connected": Action.CONNECT,
        "down reconnected": Action.CONNECT,
        "device down": Action.DISCONNECT,
        "disconnected": Action.DISCONNECT,
    }
)


class EventRow(msgspec.Struct, gc=False):
    """A row of Events; SQLite gives a MAC of digits as a number."""

    moment: Moment | None = msgspec.field(name="eve_DateTime", default=None)
    mac: str = msgspec.field(name="eve_MAC", default="")
    kind: str = msgspec.field(name="eve_EventType", default="")
    ip: str = msgspec.field(name="eve_IP", default="")
    info: str = msgspec.field(name="eve_AdditionalInfo", default="")
    sensor: str = ""


class Seen(msgspec.Struct, gc=False):
    """A device that a scan found."""

    time: Moment | None = None
    mac: str = ""
    ip: str = ""
    name: str = ""
    vendor: str = ""
    sensor: str = ""


class Known(msgspec.Struct, gc=False):
    """A row of Devices: what a device is called, whether it is there or not."""

    moment: Moment | None = msgspec.field(name="devLastConnection", default=None)
    mac: str = msgspec.field(name="devMac", default="")
    name: str = msgspec.field(name="devName", default="")
    owner: str = msgspec.field(name="devOwner", default="")
    ip: str = msgspec.field(name="devLastIP", default="")
    sensor: str = ""


#: What NetAlertX calls devices without a name.
_NAMELESS = frozenset({"(unknown)", "(name not found)"})


def _nothing(line: object) -> None:
    """Rows are few: they are read field by field, and nothing is taken out of them."""


_rows = LineReader(
    EventRow, "eve_DateTime", ("eve_MAC", "eve_IP", "sensor"), _nothing, required=("eve_MAC", "eve_EventType")
)
_known = LineReader(
    Known, "devLastConnection", ("devMac", "devLastIP", "sensor"), _nothing, required=("devMac", "devName")
)
_seen = LineReader(Seen, "time", ("mac", "ip", "sensor"), _nothing, required=("mac",))


def decode_netalertx(value: bytes) -> list[Decoded] | Rejection:
    """One row or one device of a scan."""
    if rejection := not_utf8(value):
        return rejection
    fields, repaired = fields_or_repaired(value)
    if isinstance(fields, Rejection):
        return fields
    if "mac" in fields and "eve_MAC" not in fields:
        return _device(fields, repaired)
    if "devMac" in fields:
        return _name(fields, repaired)
    read = _rows.read_fields(fields, repaired)
    return read if isinstance(read, Rejection) else _event(read)


def _event(read: Read[EventRow]) -> list[Decoded] | Rejection:
    row, time = read.line, read.time
    if not row.mac.strip():
        return Rejection(Reason.BAD_VALUE, "eve_MAC", "the address of a device")
    action = ACTIONS.get(row.kind.strip().lower(), Action.ACTIVITY)
    connection = Connection(
        action=action,
        sensor=row.sensor or NETALERTX,
        time=time,
        mac=row.mac,
        client_ip=row.ip,
        kind=row.kind.strip(),
        # What its opening says is the session's: the vendor, for a new device (netalertx-facts 2.3).
        attributes={"info": row.info} if row.info and action is Action.CONNECT else {},
    )
    event = Event(
        sensor=connection.sensor,
        time=time,
        kind=kind_of(connection),
        category="device",
        mac=row.mac,
        client_ip=row.ip,
        data=connection.kind,
        content=row.info,
    )
    _rows.finish(event, read)
    # Any other kind happens to a device, whatever it is called: activity of whatever session it has.
    return [Decoded(event, None if connection.action is Action.ACTIVITY else connection)]


def _device(fields: Fields, repaired: bool) -> list[Decoded] | Rejection:
    read = _seen.read_fields(fields, repaired)
    if isinstance(read, Rejection):
        return read
    seen, time = read.line, read.time
    if not seen.mac.strip():
        return Rejection(Reason.BAD_VALUE, "mac", "the address of a device")
    event = Event(
        sensor=seen.sensor or NETALERTX,
        time=time,
        kind=OTHER,
        category="device",
        mac=seen.mac,
        client_ip=seen.ip,
        data=seen.name or seen.vendor,
    )
    connection = Connection(
        action=Action.ACTIVITY,
        opens=True,
        sensor=event.sensor,
        time=time,
        first_time=time,
        last_time=time,
        mac=seen.mac,
        client_ip=seen.ip,
        client_name=seen.name,
        attributes={"vendor": seen.vendor} if seen.vendor else {},
    )
    _seen.finish(event, read)
    return [Decoded(event, connection)]


def _name(fields: Fields, repaired: bool) -> list[Decoded] | Rejection:
    """It is no sign of life: no session begins or goes on with it."""
    read = _known.read_fields(fields, repaired)
    if isinstance(read, Rejection):
        return read
    known, time = read.line, read.time
    if not known.mac.strip():
        return Rejection(Reason.BAD_VALUE, "devMac", "the address of a device")
    name = "" if known.name in _NAMELESS else known.name
    event = Event(
        sensor=known.sensor or NETALERTX,
        time=time,
        kind=OTHER,
        category="device",
        mac=known.mac,
        client_ip=known.ip,
        data=name,
    )
    _known.finish(event, read, more={"name": _encoded(name), "owner": _encoded(known.owner)})
    return [Decoded(event, alone=True)]


def _encoded(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))
