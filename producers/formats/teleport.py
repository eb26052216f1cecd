"""Teleport's audit events (docs/formats/teleport.md; sensor-formats 5.5)."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from producers.formats.decoded import Decoded, Rejection
from producers.formats.json_object import Fields, not_utf8
from producers.formats.lines import LineReader, fields_or_repaired, text_of
from producers.formats.moments import Moment
from schemas.kinds import CLOSE, CONNECT, OTHER
from schemas.records import Action, Connection, Event
from schemas.times import parse_time

#: The sensor's name where an event names no cluster.
TELEPORT = "teleport"
COMMAND = "command"

_START, _END = "session.start", "session.end"


class AuditEvent(msgspec.Struct, gc=False):
    """The fields that are looked at; every event has many more."""

    time: Moment | None = None
    event: str = ""
    uid: str = ""
    cluster_name: str = ""
    sid: str = ""
    user: str = ""
    login: str = ""
    proto: str = ""
    server_hostname: str = ""
    remote: str = msgspec.field(name="addr.remote", default="")
    local: str = msgspec.field(name="addr.local", default="")
    message: str = ""


_PLACED = ("uid", "cluster_name", "sid", "user")
_events = LineReader(AuditEvent, "time", _PLACED, lambda event: None, required=("event",))

_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "exec": COMMAND,
        "session.command": COMMAND,
        "scp": "download",
        "port": "forward",
        "x11-forward": "forward",
        "session.network": "forward",
        "subsystem": "client",
    }
)
#: What a session of these kinds speaks, where the event does not say it.
_PROTOCOLS = (("windows.desktop.", "rdp"), ("app.", "http"), ("db.", "db"), ("session.", "ssh"))


def decode_teleport(value: bytes) -> list[Decoded] | Rejection:
    """One audit event: an event, and what it says about its session."""
    if rejection := not_utf8(value):
        return rejection
    fields, repaired = fields_or_repaired(value)
    if isinstance(fields, Rejection):
        return fields
    read = _events.read_fields(fields, repaired)
    if isinstance(read, Rejection):
        return read
    audit, time = read.line, read.time
    client_ip, client_port = _address(audit.remote)
    server_ip, server_port = _address(audit.local)
    event = Event(
        sensor=audit.cluster_name or TELEPORT,
        time=time,
        kind=_kind_of(audit.event, fields),
        session_id=audit.sid,
        category=audit.event.partition(".")[0],
        protocol=_protocol_of(audit, fields),
        client_ip=client_ip,
        client_port=client_port,
        server_ip=server_ip,
        server_port=server_port,
        user=audit.user,
        data=_saying(audit, fields),
        record_id=audit.uid,
    )
    if event.kind == COMMAND:
        event.action = event.data
    connection = _connection(event, audit, fields) if audit.sid else None
    _events.finish(event, read)
    # Without a session it may still have addresses: those of a login, not of a connection that lasts.
    return [Decoded(event, connection, alone=not audit.sid)]


def _connection(event: Event, audit: AuditEvent, fields: Fields) -> Connection | None:
    """The record for what begins or ends a session; any other event is a sign of life."""
    if event.kind not in (CONNECT, CLOSE):
        return None
    connection = Connection(
        action=Action.CONNECT if event.kind == CONNECT else Action.DISCONNECT,
        sensor=event.sensor,
        time=event.time,
        session_id=event.session_id,
        protocol=event.protocol,
        client_ip=event.client_ip,
        client_port=event.client_port,
        server_ip=event.server_ip,
        server_port=event.server_port,
        server_name=audit.server_hostname,
        user=event.user,
        server_user=audit.login,
        category=event.category,
        record_id=event.record_id,
    )
    if event.kind == CLOSE:
        started, stopped = _moment(fields, "session_start"), _moment(fields, "session_stop")
        event.started, event.ended = started, stopped
        if started is not None and stopped is not None:
            connection.action = Action.COMPLETE
            connection.started, connection.ended = started, stopped
    return connection


def _kind_of(name: str, fields: Fields) -> str:
    if name.endswith(_START):
        return CONNECT
    if name.endswith(_END):
        return CLOSE
    if name.endswith("login") or name == "auth":
        worked = bytes(fields.get("success", b"false")) == b"true"
        return "login.success" if worked else "login.failed"
    return _KINDS.get(name, OTHER)


def _protocol_of(audit: AuditEvent, fields: Fields) -> str:
    said = audit.proto or text_of(fields, "db_protocol")
    if said or not audit.sid:
        return said.lower()
    return next((protocol for prefix, protocol in _PROTOCOLS if audit.event.startswith(prefix)), "ssh")


def _saying(audit: AuditEvent, fields: Fields) -> str:
    program = text_of(fields, "program")
    if program:
        try:
            arguments = msgspec.json.decode(fields.get("argv", msgspec.Raw(b"[]")), type=list[str] | None)
        except (msgspec.DecodeError, RecursionError):
            arguments = None
        return " ".join([program, *(arguments or [])])
    for name in ("command", "db_query", "path", "error"):
        if text := text_of(fields, name):
            return text
    return audit.message or audit.event


def _moment(fields: Fields, name: str) -> int | None:
    """A time inside an event; None where there is none that can be read."""
    text = text_of(fields, name)
    try:
        return parse_time(text.upper()) if text else None
    except ValueError:
        return None


def _address(text: str) -> tuple[str, int]:
    """``192.0.2.1:22`` or ``[2001:db8::1]:22``; a name alone is no address."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65_535:
        return "", 0
    return host.removeprefix("[").removesuffix("]"), int(port)
