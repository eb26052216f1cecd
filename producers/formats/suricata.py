"""Suricata's eve.json (docs/formats/suricata.md; sensor-formats 5.3).

A ``flow`` record comes when the flow is over and says when it began and ended; alerts and the records of protocols come
before that. Those that say when their flow began have the same session id as the flow record: whichever comes first
opens the session, and the flow record settles it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from producers.formats.decoded import Decoded, Rejection
from producers.formats.json_object import Fields, not_utf8
from producers.formats.lines import LineReader, Read, fields_or_repaired
from producers.formats.suricata_line import (
    ENDPOINTS,
    PLACED,
    EveLine,
    FlowLine,
    FlowPart,
    micros_of_text,
    session_id,
    set_all_aside,
    set_aside,
)
from schemas.kinds import OTHER
from schemas.records import Action, Connection, Event

#: The sensor's name where eve.json does not say it (setting ``sensor-name`` of Suricata).
SURICATA = "suricata"
FLOW = "flow"
ALERT = "alert"

_lines = LineReader(EveLine, "timestamp", PLACED, set_all_aside, required=("event_type",))
_flow_line = msgspec.json.Decoder(FlowLine).decode
_encode = msgspec.json.Encoder().encode
_flow_part = msgspec.json.Decoder(FlowPart).decode
_any = msgspec.json.Decoder().decode
_NO_FLOW = FlowPart()
#: Of a flow the time of logging stays in details.
_LOGGED = frozenset({"timestamp"})

_KINDS: Mapping[str, str] = MappingProxyType({FLOW: FLOW, ALERT: ALERT, "ssh": "client", "drop": ALERT})
#: Event types that are a protocol: there src is whoever began the flow, elsewhere whoever sent the packet.
_PROTOCOLS = frozenset({"ssh", "http", "http2", "tls", "smtp", "ftp", "rdp", "smb", "telnet", "rfb", "quic", "mqtt"})
#: What Suricata says when it does not know.
_NO_PROTOCOL = frozenset({"", "failed", "unknown"})
#: Event type → fields of its object that say best what it is about.
_SAYING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ALERT: ("signature",),
        "http": ("http_method", "hostname", "url"),
        "dns": ("rrname",),
        "tls": ("sni", "subject"),
        "fileinfo": ("filename",),
        "anomaly": ("event",),
    }
)


def decode_suricata(value: bytes) -> list[Decoded] | Rejection:
    """One line of eve.json: an event, and what it says about its flow."""
    if not value.isascii() and (rejection := not_utf8(value)):
        return rejection
    # Only then reading it as a flow is worth while.
    if b':"flow"' not in value and b': "flow"' not in value:
        return _decode_unusual(value)
    try:
        line = _flow_line(value)
    except (msgspec.DecodeError, RecursionError):
        return _decode_unusual(value)
    flow = _flow_of(line.flow)
    start, end = micros_of_text(flow.start), micros_of_text(flow.end)
    if line.event_type != FLOW or not line.flow_id or start is None or end is None:
        return _decode_unusual(value)
    decoded = _flow(line, flow, start, end)
    set_aside(line)
    decoded.event.details = msgspec.Raw(_encode(line))
    return [decoded]


def _decode_unusual(value: bytes) -> list[Decoded] | Rejection:
    """A line that is not a flow as Suricata writes it by default."""
    read = _lines.read(value)
    if not isinstance(read, Rejection):
        return _records(read, {})
    return (_decode_message(value) if read.field in ("event_type", "timestamp") else None) or read


def _records(read: Read[EveLine], beside: Fields) -> list[Decoded]:
    line = read.line
    flow = _flow_of(line.flow)
    start, end = micros_of_text(flow.start), micros_of_text(flow.end)
    if line.event_type == FLOW and line.flow_id and start is not None and end is not None:
        decoded = _flow(line, flow, start, end)
        _lines.finish(decoded.event, read, _LOGGED, beside)
        return [decoded]
    return _other(read, flow, beside)


def _decode_message(value: bytes) -> list[Decoded] | Rejection | None:
    """The line that a shipper put into ``message`` of its own record; None when there is none."""
    outside, repaired = fields_or_repaired(value)
    if isinstance(outside, Rejection) or "message" not in outside:
        return None
    try:
        text = msgspec.json.decode(outside.pop("message"), type=str)
    except (msgspec.DecodeError, RecursionError):
        return None
    inner, inner_repaired = fields_or_repaired(text.encode())
    if isinstance(inner, Rejection):
        return None
    read = _lines.read_fields(inner, repaired or inner_repaired)
    if isinstance(read, Rejection):
        return read
    return _records(read, {("sojourn.field." + name if name in inner else name): raw for name, raw in outside.items()})


def _flow_of(raw: msgspec.Raw | msgspec.UnsetType) -> FlowPart:
    """What is known of the flow; nothing where a part of it cannot be read."""
    if raw is msgspec.UNSET:
        return _NO_FLOW
    try:
        return _flow_part(raw)
    except (msgspec.DecodeError, RecursionError):
        return _NO_FLOW


def _flow(line: FlowLine, flow: FlowPart, start: int, end: int) -> Decoded:
    """A flow that is over; all but the details. It happened when it ended; ``timestamp`` is when it was logged."""
    sensor = line.host or SURICATA
    protocol = (line.proto if line.app_proto in _NO_PROTOCOL else line.app_proto).lower()
    session = session_id(line.flow_id, start)
    event = Event(
        sensor=sensor,
        time=end,
        kind=FLOW,
        started=start,
        ended=end,
        session_id=session,
        category=FLOW,
        protocol=protocol,
        client_ip=line.src_ip,
        client_port=line.src_port,
        server_ip=line.dest_ip,
        server_port=line.dest_port,
    )
    connection = Connection(
        action=Action.COMPLETE,
        sensor=sensor,
        time=end,
        started=start,
        ended=end,
        session_id=session,
        protocol=protocol,
        client_ip=line.src_ip,
        client_port=line.src_port,
        server_ip=line.dest_ip,
        server_port=line.dest_port,
        attributes={"flow.state": flow.state, "flow.reason": flow.reason} if flow.state else {},
    )
    return Decoded(event, connection)


def _other(read: Read[EveLine], flow: FlowPart, beside: Fields) -> list[Decoded]:
    """An alert, a record of a protocol, statistics: a sign of life of the flow that it names."""
    line, time = read.line, read.time
    said = _object_of(read)
    kind = _KINDS.get(line.event_type, OTHER)
    app_proto = line.event_type if line.event_type in _PROTOCOLS else line.app_proto
    event = Event(
        sensor=line.host or SURICATA,
        time=time,
        kind=kind,
        category=line.event_type,
        protocol=(line.proto if app_proto in _NO_PROTOCOL else app_proto).lower(),
        client_ip=line.src_ip,
        client_port=line.src_port,
        server_ip=line.dest_ip,
        server_port=line.dest_port,
        data=_saying(line.event_type, said),
    )
    keep: frozenset[str] = frozenset()
    knows_client = line.event_type in _PROTOCOLS
    if flow.src_ip:
        # The packet's own addresses may be the other way round: they stay in details.
        event.client_ip, event.client_port = flow.src_ip, flow.src_port
        event.server_ip, event.server_port = flow.dest_ip, flow.dest_port
        keep, knows_client = ENDPOINTS, True
    elif line.direction == "to_client":
        event.client_ip, event.client_port = line.dest_ip, line.dest_port
        event.server_ip, event.server_port = line.src_ip, line.src_port
        keep, knows_client = ENDPOINTS, True
    elif line.direction == "to_server":
        knows_client = True
    start = micros_of_text(flow.start)
    if not line.flow_id or start is None:
        # Which of the flows that had this flow_id it belongs to, nobody can tell.
        _lines.finish(event, read, keep, beside)
        return [Decoded(event, alone=True)]
    event.session_id = session_id(line.flow_id, start)
    connection = Connection(
        action=Action.ACTIVITY,
        opens=True,
        sensor=event.sensor,
        time=time,
        first_time=start,
        last_time=time,
        session_id=event.session_id,
        # The flow record will say it; SSH is named because it is waited for longer.
        protocol="ssh" if event.protocol == "ssh" else "",
    )
    if knows_client:
        connection.client_ip, connection.client_port = event.client_ip, event.client_port
        connection.server_ip, connection.server_port = event.server_ip, event.server_port
    if kind == ALERT and (signature := said.get("signature")):
        connection.attributes = {f"alert.{said.get('signature_id', '')}": str(signature)}
    _lines.finish(event, read, keep, beside)
    return [Decoded(event, connection)]


def _object_of(read: Read[EveLine]) -> dict[str, Any]:
    """The object named like the event type."""
    name = read.line.event_type
    raw = read.fields.get(name) if read.fields is not None else None
    if raw is None and name in EveLine.__struct_fields__:
        raw = getattr(read.line, name)
    if not isinstance(raw, msgspec.Raw):
        return {}
    try:
        value = _any(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _saying(event_type: str, said: dict[str, Any]) -> str:
    if event_type == "ssh":
        client = said.get("client")
        said = client if isinstance(client, dict) else {}
        return _words(said, ("software_version",))
    if event_type == "dns" and isinstance(said.get("queries"), list):
        first = next((each for each in said["queries"] if isinstance(each, dict)), {})
        return _words(first, ("rrname",))
    return _words(said, _SAYING.get(event_type, ()))


def _words(said: dict[str, Any], names: tuple[str, ...]) -> str:
    return " ".join(text for name in names if isinstance(text := said.get(name), str) and text)
