"""Cowrie's JSON log, every generation of it (docs/formats/cowrie.md; sensor-formats 5.1).

A field of the log has its place in the record, or it stays in details; the line's wording of an event (``eventid``)
always stays. Only eventid, sensor and timestamp are required: any other field that cannot be read leaves its place
empty, stays in details as it came, and the event says so by the flag ``field_unread``.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from producers.formats.cowrie_line import PLACED, SERVER, Given, Line, set_aside
from producers.formats.decoded import Decoded, Rejection
from producers.formats.json_object import (
    TEXT_REPLACED,
    fields_of,
    not_utf8,
    object_text,
    without_lone_surrogates,
)
from producers.formats.moments import EXPECTED as TIME_EXPECTED
from producers.formats.moments import micros_of
from producers.formats.reading import read_what_fits, readers_of, required_of
from schemas.dead_letters import Reason
from schemas.kinds import CLOSE, CONNECT, OTHER
from schemas.records import Action, Connection, Event

FIELD_UNREAD = "field_unread"
FORWARD = "forward"
COMMAND = "command"
TERMINAL = "terminal"
LOGIN_SUCCESS = "login.success"
LOGIN_FAILED = "login.failed"

_KIND_OF_EVENT: Mapping[str, str] = MappingProxyType(
    {
        "cowrie.session.connect": CONNECT,
        "cowrie.session.closed": CLOSE,
        "cowrie.login.success": LOGIN_SUCCESS,
        "cowrie.login.failed": LOGIN_FAILED,
        "cowrie.command.input": COMMAND,
        "cowrie.client.version": "client",
        "cowrie.client.kex": "client",
        "cowrie.session.input": TERMINAL,
        "cowrie.session.file_download": "download",
        "cowrie.session.file_download.failed": "download",
        "cowrie.session.file_upload": "upload",
    }
)
_KIND_OF_PREFIX = (
    ("cowrie.command.", COMMAND),
    ("cowrie.client.", "client"),
    ("cowrie.log.", TERMINAL),
    ("cowrie.direct-tcpip.", FORWARD),
    ("cowrie.tunnelproxy-tcpip.", FORWARD),
)

#: Longest session anybody would believe: 100 years.
_LONGEST = 100 * 365 * 86_400.0

_line_of = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.Encoder().encode
_DURATIONS = ("duration", "duration_ms")
_REQUIRED = required_of(Given)
_READERS = {
    **readers_of(Given),
    **readers_of(Line, without=set(Line.__struct_fields__) - (PLACED - _REQUIRED)),
}


def decode_cowrie(value: bytes) -> list[Decoded] | Rejection:
    """One line of the log: one event, and a connection record where it opens, closes or names the user."""
    if not value.isascii() and (rejection := not_utf8(value)):
        return rejection
    try:
        line = _line_of(value)
    except (msgspec.DecodeError, RecursionError):
        return _decode_what_fits(value)
    moment = line.timestamp
    if moment is None or not line.eventid or not line.sensor:
        return _decode_what_fits(value)
    try:
        time = micros_of(moment)
    except ValueError:
        return Rejection(Reason.BAD_TIME, "timestamp", TIME_EXPECTED)
    decoded = _records(line, time)
    if not isinstance(decoded, Rejection):
        event = decoded[0].event
        set_aside(line, event.kind == FORWARD)
        event.details = msgspec.Raw(_encode(line))
    return decoded


def kind_of(eventid: str) -> str:
    """The kind of a line; what we do not know is ``other``, its eventid stands in details."""
    kind = _KIND_OF_EVENT.get(eventid)
    if kind is not None:
        return kind
    for prefix, kind in _KIND_OF_PREFIX:
        if eventid.startswith(prefix):
            return kind
    return OTHER


def _records(line: Line, time: int) -> list[Decoded] | Rejection:
    """All but the details."""
    kind = kind_of(line.eventid)
    protocol = line.protocol.lower()
    event = Event(
        sensor=line.sensor,
        time=time,
        kind=kind,
        session_id=line.session,
        token=line.uuid,
        category=protocol,
        protocol=protocol,
        client_ip=line.src_ip,
        client_port=line.src_port,
        user=line.username,
        data=line.message,
    )
    if kind != FORWARD:
        # A forward's dst is the target that was asked for, not the sensor.
        event.server_ip = line.dst_ip
        event.server_port = line.dst_port
    if line.input:
        event.data = event.action = line.input
        event.content = line.message
    attributes: dict[str, str] = {}
    if kind == CONNECT:
        action = Action.CONNECT
    elif kind == CLOSE:
        action = Action.DISCONNECT
        _measure(event, line)
    elif kind == LOGIN_SUCCESS:
        action, attributes = Action.ANNOTATE, {"login": "success"}
    elif kind == LOGIN_FAILED:
        action, attributes = Action.ANNOTATE, {"login": "failed"}
    else:
        if kind == TERMINAL:
            _measure(event, line)
        return [Decoded(event)]
    if not (line.session or line.src_ip):
        if action is Action.ANNOTATE:
            return [Decoded(event)]
        return Rejection(Reason.MISSING_FIELD, "session", "text that is not empty")
    connection = Connection(
        action=action,
        sensor=line.sensor,
        time=time,
        session_id=line.session,
        protocol=event.protocol,
        client_ip=line.src_ip,
        client_port=line.src_port,
        server_ip=line.dst_ip,
        server_port=line.dst_port,
        # Only evidence for sessions whose connect was never seen: the log counts in milliseconds, or tenths of seconds.
        started=event.started if kind == CLOSE else None,
        user=line.username,
        token=line.uuid,
        category=event.protocol,
        attributes=attributes,
    )
    return [Decoded(event, connection)]


def _measure(event: Event, line: Line) -> None:
    """Start and end of what a line that closes something says it lasted."""
    duration = _duration(line)
    if duration is not None:
        event.started = event.time - duration
        event.ended = event.time


def _duration(line: Line) -> int | None:
    """Microseconds; the field was float seconds, text like "59.2", and is whole milliseconds since 3.0.4."""
    for raw, micros in ((line.duration_ms, 1_000.0), (line.duration, 1_000_000.0)):
        if raw is msgspec.UNSET:
            continue
        try:
            number = float(bytes(raw).strip(b'" '))
        except ValueError:
            continue
        if 0 <= number * micros <= _LONGEST * 1_000_000:
            return round(number * micros)
    return None


def _decode_what_fits(value: bytes) -> list[Decoded] | Rejection:
    """The slow path: a line whose fields are not all as they should be."""
    flags: list[str] = []
    fields = fields_of(value)
    if isinstance(fields, Rejection):
        repaired = without_lone_surrogates(value)
        if repaired is None or isinstance(again := fields_of(repaired), Rejection):
            return fields
        fields = again
        flags.append(TEXT_REPLACED)
    found = read_what_fits(fields, _READERS, _REQUIRED)
    if isinstance(found, Rejection):
        return found
    values, unread = found
    if unread:
        flags.append(FIELD_UNREAD)
    time = values.pop("timestamp")
    values.update({name: fields[name] for name in _DURATIONS if name in fields})
    decoded = _records(Line(**values), time)
    if isinstance(decoded, Rejection):
        return decoded
    event = decoded[0].event
    placed = (PLACED - SERVER if event.kind == FORWARD else PLACED).difference(unread)
    event.details = object_text({name: raw for name, raw in fields.items() if name not in placed})
    event.flags = flags
    return decoded
