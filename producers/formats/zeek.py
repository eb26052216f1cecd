"""Zeek's logs: JSON, JSON with a tag or a ``_path``, and conn.log's columns (docs/formats/zeek.md).

Zeek writes one record per *finished* connection, and other logs about it before that. All of them name it by ``uid``,
which no other connection ever gets: whichever comes first opens the session, conn.log says when it began and ended.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from producers.formats.decoded import Decoded, Rejection
from producers.formats.json_object import Fields, fields_of, not_utf8
from producers.formats.lines import LineReader, fields_or_repaired
from producers.formats.zeek_line import PLACED, ConnLine, fields_of_columns, set_aside
from schemas.dead_letters import Reason
from schemas.kinds import OTHER
from schemas.records import Action, Connection, Event
from schemas.times import SECOND

#: The sensor's name where no line says it.
ZEEK = "zeek"
FLOW = "flow"

#: From here a number is milliseconds (zeek-kafka's TS_MILLIS): as seconds it would be the year 5138.
_MILLIS_FROM = 10**11
_LONGEST = 100 * 365 * 86_400.0

_lines = LineReader(ConnLine, "ts", PLACED, set_aside)
_conn_line = msgspec.json.Decoder(ConnLine).decode
_encode = msgspec.json.Encoder().encode
_ICMP_KEPT = frozenset({"id.orig_p", "id.resp_p"})
_ENDPOINTS = ("orig_h", "orig_p", "resp_h", "resp_p")

#: Logs without ``_path`` or tag are known by a field that only they have.
_MARKS = (
    ("auth_attempts", "ssh"),
    ("auth_success", "ssh"),
    ("hassh", "ssh"),
    ("user_agent", "http"),
    ("status_code", "http"),
    ("qtype_name", "dns"),
    ("qtype", "dns"),
    ("cipher", "ssl"),
    ("conn_state", "conn"),
    ("orig_pkts", "conn"),
    ("missed_bytes", "conn"),
)
_KINDS: Mapping[str, str] = MappingProxyType(
    {"conn": FLOW, "notice": "alert", "signatures": "alert", "intel": "alert", "ssh": "client"}
)
#: Logs whose name is the protocol that conn.log will say as well.
_PROTOCOLS = frozenset({"ssh", "http", "dns", "ssl", "ftp", "smtp", "rdp", "irc", "snmp", "sip", "dhcp", "ntp"})
#: Fields that say best what a line is about, in order.
_SAYING = ("msg", "query", "uri", "server_name", "client", "name", "note", "seen.indicator", "filename", "command")
_SSH_FACTS = ("auth_success", "auth_attempts", "client", "server", "hassh", "hasshServer", "cipher_alg", "direction")


def decode_zeek(value: bytes) -> list[Decoded] | Rejection:
    """One line of a log: an event, and what it says about the connection named by its ``uid``."""
    if not value.isascii() and (rejection := not_utf8(value)):
        return rejection
    try:
        line = _conn_line(value)
    except (msgspec.DecodeError, RecursionError):
        # Another log, milliseconds, a tag around it, columns, or something that is wrong.
        return _decode_unusual(value)
    seconds = line.ts
    if not isinstance(seconds, float) or not 0 <= seconds < _MILLIS_FROM or line.proto == "icmp" or not _is_conn(line):
        return _decode_unusual(value)
    decoded = _conn(line, round(seconds * SECOND))
    if isinstance(decoded, Decoded):
        set_aside(line)
        decoded.event.details = msgspec.Raw(_encode(line))
        return [decoded]
    return decoded


def _is_conn(line: ConnLine) -> bool:
    return line.path == "conn" or (line.conn_state != "" and not line.path)


def _decode_unusual(value: bytes) -> list[Decoded] | Rejection:
    """A line that is UTF-8 and not just a line of conn.log as Zeek writes JSON by default."""
    if value.strip()[:1] != b"{":
        columns = fields_of_columns(value.decode())
        return columns if isinstance(columns, Rejection) else _decode_fields(columns, {}, False)
    fields, repaired = fields_or_repaired(value)
    if isinstance(fields, Rejection):
        return fields
    outside: Fields = {}
    if "ts" not in fields:
        for tag, raw in fields.items():
            inner = fields_of(bytes(raw)) if bytes(raw).startswith(b"{") else {}
            if not isinstance(inner, Rejection) and "ts" in inner:
                outside = {name: each for name, each in fields.items() if name != tag}
                fields = {"_path": msgspec.Raw(_encode(tag)), **inner}
                break
    return _decode_fields(fields, outside, repaired)


def _decode_fields(fields: Fields, outside: Fields, repaired: bool) -> list[Decoded] | Rejection:
    """A log's fields; ``outside`` are those that stood beside the tag."""
    fields = _flat(fields)
    for name in ("sensor", "_system_name"):
        if name in outside and name not in fields:
            fields[name] = outside.pop(name)
    if "ts" in fields:
        fields["ts"] = _seconds(fields["ts"])
    read = _lines.read_fields(fields, repaired)
    if isinstance(read, Rejection):
        return read
    # Values that stood beside the tag keep their names, unless the log has that name itself.
    beside = {("sojourn.field." + name if name in fields else name): raw for name, raw in outside.items()}
    path = read.line.path or next((path for mark, path in _MARKS if mark in fields), "")
    decoded = _conn(read.line, read.time) if path == "conn" else _other(path, read.line, read.time, fields)
    if isinstance(decoded, Rejection):
        return decoded
    _lines.finish(decoded.event, read, _ICMP_KEPT if read.line.proto == "icmp" else (), beside)
    return [decoded]


def _flat(fields: Fields) -> Fields:
    """``"id": {"orig_h": …}`` as ``id.orig_h``: some shippers nest what Zeek writes with a dot."""
    raw = fields.get("id")
    if raw is None or "id.orig_h" in fields:
        return dict(fields)
    inner = fields_of(bytes(raw))
    if isinstance(inner, Rejection) or not set(_ENDPOINTS) & inner.keys():
        return dict(fields)
    flat = {name: each for name, each in fields.items() if name != "id"}
    flat.update({f"id.{name}": each for name, each in inner.items()})
    return flat


def _seconds(raw: msgspec.Raw) -> msgspec.Raw:
    """Milliseconds as seconds; anything else as it is."""
    try:
        number = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return raw
    if isinstance(number, bool) or not isinstance(number, int | float) or not _MILLIS_FROM <= number < 10**15:
        return raw
    return msgspec.Raw(repr(number / 1000).encode())


def _conn(line: ConnLine, started: int) -> Decoded | Rejection:
    """A finished connection; all but the details."""
    uid = line.uid
    if not uid and not line.orig_h:
        return Rejection(Reason.MISSING_FIELD, "uid", "text that is not empty: which connection it is")
    lasted = line.duration
    ended = started + round(lasted * SECOND) if lasted is not None and 0 <= lasted <= _LONGEST else started
    sensor = line.sensor or line.system or ZEEK
    protocol = (line.service or line.proto).lower()
    # The "ports" of ICMP are its type and code.
    client_port, server_port = (0, 0) if line.proto == "icmp" else (line.orig_p, line.resp_p)
    event = Event(
        sensor=sensor,
        time=started,
        kind=FLOW,
        started=started,
        ended=ended,
        session_id=uid,
        category="conn",
        protocol=protocol,
        client_ip=line.orig_h,
        client_port=client_port,
        server_ip=line.resp_h,
        server_port=server_port,
    )
    connection = Connection(
        action=Action.COMPLETE,
        sensor=sensor,
        time=started,
        started=started,
        ended=ended,
        session_id=uid,
        category="conn",
        protocol=protocol,
        client_ip=line.orig_h,
        client_port=client_port,
        server_ip=line.resp_h,
        server_port=server_port,
        attributes={"conn_state": line.conn_state} if line.conn_state else {},
    )
    return Decoded(event, connection)


def _other(path: str, line: ConnLine, time: int, fields: Fields) -> Decoded:
    """Any other log: an event, and a sign of life where it names a connection."""
    facts = {name: text for name in _SSH_FACTS if (text := _text(fields, name))} if path == "ssh" else {}
    kind = _KINDS.get(path, OTHER)
    if "auth_success" in facts:
        kind = "login.success" if facts["auth_success"] == "true" else "login.failed"
    event = Event(
        sensor=line.sensor or line.system or ZEEK,
        time=time,
        kind=kind,
        session_id=line.uid,
        category=path,
        protocol=path if path in _PROTOCOLS else (line.service or line.proto).lower(),
        client_ip=line.orig_h,
        server_ip=line.resp_h,
        data=next((text for name in _SAYING if (text := _text(fields, name))), ""),
    )
    if line.proto != "icmp":
        event.client_port, event.server_port = line.orig_p, line.resp_p
    if not line.uid:
        # A notice about a host, software seen, statistics: nothing that belongs to one connection.
        return Decoded(event, alone=True)
    connection = Connection(
        action=Action.ACTIVITY,
        opens=True,
        sensor=event.sensor,
        time=time,
        first_time=time,
        last_time=time,
        session_id=line.uid,
        # conn.log will say the others; SSH is named because it is waited for longer.
        protocol="ssh" if path == "ssh" else "",
        client_ip=line.orig_h,
        client_port=event.client_port,
        server_ip=line.resp_h,
        server_port=event.server_port,
        attributes=facts,
    )
    return Decoded(event, connection)


def _text(fields: Fields, name: str) -> str:
    """A value as text; what is none as its JSON."""
    raw = fields.get(name)
    if raw is None:
        return ""
    try:
        value: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return ""
    if value is None:
        return ""
    return value if isinstance(value, str) else bytes(raw).decode()
