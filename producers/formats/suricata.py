"""Suricata's eve.json (docs/formats/suricata.md; sensor-formats 5.3).

A ``flow`` record comes when the flow is over and says when it began and ended; everything else that names the flow
comes before that, and most of it does not say when the flow began. So all of them have the key of their flow_id, which
comes again, and the session machine decides by time what belongs together (docs/decisions/0012).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import astuple

from producers.formats.decoded import Decoded, Rejection
from producers.formats.json_object import Fields, not_utf8
from producers.formats.lines import LineReader, Read, fields_or_repaired
from producers.formats.suricata_line import (
    ENDPOINTS,
    PLACED,
    AlertPart,
    EveLine,
    FlowPart,
    TimedLine,
    micros_of_text,
    probable_session_id,
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
#: Flag of an event whose line does not say when its flow began: the session id is what its flow_id lets one expect.
SESSION_GUESSED = "session_guessed"

_lines = LineReader(EveLine, "timestamp", PLACED, set_all_aside, required=("event_type",))
_encode = msgspec.json.Encoder().encode
_timed_line = msgspec.json.Decoder(TimedLine).decode
_alert_part = msgspec.json.Decoder(AlertPart).decode
_flow_part = msgspec.json.Decoder(FlowPart).decode
_any = msgspec.json.Decoder().decode
_NO_FLOW = FlowPart()
# A member of an enumeration is slow to look up by its name.
_ACTIVITY, _COMPLETE = Action.ACTIVITY, Action.COMPLETE
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
        "http": ("http_method", "hostname", "url"),
        "dns": ("rrname",),
        "tls": ("sni", "subject"),
        "fileinfo": ("filename",),
        "anomaly": ("event",),
    }
)
#: The same as decoders of these fields alone.
_PARTS: Mapping[str, Callable[[msgspec.Raw], msgspec.Struct]] = MappingProxyType(
    {
        event_type: msgspec.json.Decoder(
            msgspec.defstruct(event_type, [(name, str, "") for name in names], gc=False)
        ).decode
        for event_type, names in _SAYING.items()
        # What a question is about may stand in a list of questions.
        if event_type != "dns"
    }
)
#: Event type → the field of its object in which the client names the server.
_SERVER_NAMES: Mapping[str, str] = MappingProxyType({"http": "hostname", "tls": "sni"})


def decode_suricata(value: bytes) -> list[Decoded] | Rejection:
    """One line of eve.json: an event, and what it says about its flow."""
    if not value.isascii() and (rejection := not_utf8(value)):
        return rejection
    try:
        line = _timed_line(value)
    except (msgspec.DecodeError, RecursionError):
        return _decode_unusual(value)
    flow = _flow_of(line.flow)
    event_type = line.event_type
    if event_type == FLOW:
        start, end = micros_of_text(flow.start), micros_of_text(flow.end)
        if not line.flow_id or start is None or end is None:
            return _decode_unusual(value)
        decoded, keeps_endpoints = _flow(line, flow, start, end), False
    else:
        time = micros_of_text(line.timestamp)
        if time is None or not event_type:
            return _decode_unusual(value)
        decoded, keeps_endpoints = _other(line, time, flow, getattr(line, event_type, None))
        line.timestamp = ""
    set_aside(line, not keeps_endpoints)
    decoded.event.details = msgspec.Raw(_encode(line))
    return [decoded]


def _decode_unusual(value: bytes) -> list[Decoded] | Rejection:
    """A line that Suricata does not write by default."""
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
    said = read.fields.get(line.event_type) if read.fields is not None else getattr(line, line.event_type, None)
    decoded, keeps_endpoints = _other(line, read.time, flow, said)
    _lines.finish(decoded.event, read, ENDPOINTS if keeps_endpoints else (), beside)
    return [decoded]


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


def _flow(line: TimedLine, flow: FlowPart, start: int, end: int) -> Decoded:
    """A flow that is over; all but the details. It happened when it ended; ``timestamp`` is when it was logged."""
    sensor = line.host or SURICATA
    protocol = (line.proto if line.app_proto in _NO_PROTOCOL else line.app_proto).lower()
    flow_id = str(line.flow_id)
    session = session_id(flow_id, start)
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
        action=_COMPLETE,
        sensor=sensor,
        time=end,
        started=start,
        ended=end,
        session_id=session,
        process="flow/" + flow_id,
        protocol=protocol,
        client_ip=line.src_ip,
        client_port=line.src_port,
        server_ip=line.dest_ip,
        server_port=line.dest_port,
        attributes={"flow.state": flow.state, "flow.reason": flow.reason} if flow.state else {},
    )
    return Decoded(event, connection)


def _other(line: TimedLine, time: int, flow: FlowPart, raw: object) -> tuple[Decoded, bool]:
    """An alert, a record of a protocol, statistics: a sign of life of the flow that it names; all but the details.

    ``raw`` is the object named like the event type. True: the packet's own addresses stay in details.
    """
    event_type = line.event_type
    known_protocol = event_type if event_type in _PROTOCOLS else line.app_proto
    known_protocol = "" if known_protocol in _NO_PROTOCOL else known_protocol.lower()
    client_ip, client_port, server_ip, server_port = line.src_ip, line.src_port, line.dest_ip, line.dest_port
    knows_client, keeps_endpoints = known_protocol == event_type or line.direction != "", False
    if flow.src_ip:
        # The packet's own addresses may be the other way round.
        client_ip, client_port, server_ip, server_port = flow.src_ip, flow.src_port, flow.dest_ip, flow.dest_port
        keeps_endpoints = knows_client = True
    elif line.direction == "to_client":
        client_ip, client_port, server_ip, server_port = server_ip, server_port, client_ip, client_port
        keeps_endpoints = True
    attributes, server_name = {}, ""
    if event_type == ALERT:
        data, number = _alert_of(raw)
        if data:
            attributes = {f"alert.{number}": data}
    else:
        data, server_name = _said_by(event_type, raw)
    event = Event(
        sensor=line.host or SURICATA,
        time=time,
        kind=_KINDS.get(event_type, OTHER),
        category=event_type,
        protocol=known_protocol or line.proto.lower(),
        client_ip=client_ip,
        client_port=client_port,
        server_ip=server_ip,
        server_port=server_port,
        data=data,
    )
    if not line.flow_id:
        return Decoded(event, alone=True), keeps_endpoints
    flow_id = str(line.flow_id)
    start = micros_of_text(flow.start) if flow.start else None
    if start is None:
        event.session_id = probable_session_id(line.flow_id, time)
        event.flags = [SESSION_GUESSED]
    else:
        event.session_id = session_id(flow_id, start)
    connection = Connection(
        action=_ACTIVITY,
        opens=True,
        sensor=event.sensor,
        time=time,
        started=start,
        first_time=time if start is None else start,
        last_time=time,
        session_id=event.session_id,
        process="flow/" + flow_id,
        # The name of a transport would stand where the flow record names a protocol.
        protocol=known_protocol,
        server_name=server_name,
        attributes=attributes,
    )
    if knows_client:
        connection.client_ip, connection.client_port = client_ip, client_port
        connection.server_ip, connection.server_port = server_ip, server_port
    return Decoded(event, connection), keeps_endpoints


def _alert_of(raw: object) -> tuple[str, object]:
    """Words and number of a rule."""
    if not isinstance(raw, msgspec.Raw):
        return "", ""
    try:
        alert = _alert_part(raw)
    except (msgspec.DecodeError, RecursionError):
        said = _object_of(raw)
        return _words(said, ("signature",)), said.get("signature_id", "")
    return alert.signature, alert.signature_id or ""


def _said_by(event_type: str, raw: object) -> tuple[str, str]:
    """What the record of a protocol is about, and the name of the server, where there is one."""
    decoder = _PARTS.get(event_type)
    server_name = _SERVER_NAMES.get(event_type, "")
    if decoder is not None and isinstance(raw, msgspec.Raw):
        try:
            part = decoder(raw)
        except (msgspec.DecodeError, RecursionError):
            # A field is no text: the others count.
            pass
        else:
            return " ".join(filter(None, astuple(part))), getattr(part, server_name) if server_name else ""
    said = _object_of(raw)
    return _saying(event_type, said), _words(said, (server_name,))


def _object_of(raw: object) -> Mapping[str, Any]:
    if not isinstance(raw, msgspec.Raw):
        return {}
    try:
        value = _any(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _saying(event_type: str, said: Mapping[str, Any]) -> str:
    if event_type == "ssh":
        client = said.get("client")
        said = client if isinstance(client, dict) else {}
        return _words(said, ("software_version",))
    if event_type == "dns" and isinstance(said.get("queries"), list):
        first = next((each for each in said["queries"] if isinstance(each, dict)), {})
        return _words(first, ("rrname",))
    return _words(said, _SAYING.get(event_type, ()))


def _words(said: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return " ".join(text for name in names if isinstance(text := said.get(name), str) and text)
