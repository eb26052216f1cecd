"""The three records: what a sensor saw, what happened to a connection, and the session made of it.

Field names are the column names in ClickHouse. Every time is an integer, microseconds since 1970 UTC
(``schemas.times``); sensors may send RFC 3339 text instead, the ``sojourn`` decoder turns it into that integer.
Empty text and 0 mean "not known", except where a field says None.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.times import HOUR


class Action(StrEnum):
    """What a connection record says happened (session-semantics: records in)."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    ACTIVITY = "activity"
    COMPLETE = "complete"
    ANNOTATE = "annotate"
    AMEND = "amend"
    REMOVE = "remove"
    SENSOR_START = "sensor_start"


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class EndReason(StrEnum):
    """Why a session is closed; the empty text stands for a session that is open."""

    NONE = ""
    DISCONNECT = "disconnect"
    COMPLETE = "complete"
    IDLE_TIMEOUT = "idle_timeout"
    SUPERSEDED = "superseded"
    SENSOR_RESTART = "sensor_restart"
    MAX_DURATION = "max_duration"
    EVICTED = "evicted"
    ORPHAN = "orphan"


class DurationQuality(StrEnum):
    EXACT = "exact"
    LOWER_BOUND = "lower_bound"
    UNKNOWN = "unknown"


Port = Annotated[int, Meta(ge=0, le=65535)]


class Event(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One thing a sensor saw; one row of the table ``events``."""

    sensor: Annotated[str, Meta(min_length=1, description="Name of the sensor that saw it")]
    time: Annotated[int, Meta(description="When it happened, microseconds since 1970 UTC")]
    kind: Annotated[str, Meta(description="What it is, see schemas/kinds.py; open vocabulary")] = "other"
    type: Annotated[int, Meta(description="Integer code of the kind (Honeytrap facts 4.1), 0 when it has none")] = 0
    started: Annotated[int | None, Meta(description="Start of what lasted, where the sensor says it")] = None
    ended: Annotated[int | None, Meta(description="End of what lasted, where the sensor says it")] = None
    session_id: Annotated[str, Meta(description="The sensor's own id of the session it belongs to")] = ""
    token: Annotated[str, Meta(description="Instance of the sensor (Cowrie uuid, Honeytrap token)")] = ""
    location: Annotated[str, Meta(description="Where the sensor stands")] = ""
    category: Annotated[str, Meta(description="Group of events; the protocol where the sensor has no groups")] = ""
    protocol: Annotated[str, Meta(description="ssh, telnet, http, tcp …, lower case")] = ""
    client_ip: Annotated[str, Meta(description="Who connected")] = ""
    client_port: Port = 0
    server_ip: Annotated[str, Meta(description="The sensor's own side of the connection")] = ""
    server_port: Port = 0
    mac: Annotated[str, Meta(description="MAC address of a device, as the sensor wrote it")] = ""
    user: Annotated[str, Meta(description="User name that was tried or used")] = ""
    data: Annotated[str, Meta(description="The command or message, as a person reads it")] = ""
    content: Annotated[str, Meta(description="What happened with its context, e.g. a command with its prompt")] = ""
    action: Annotated[str, Meta(description="The command line without its prompt")] = ""
    channel_id: Annotated[str, Meta(description="Channel of the session it happened in")] = ""
    container_id: Annotated[str, Meta(description="Container that served the client")] = ""
    record_id: Annotated[str, Meta(description="Deterministic id of the record; its source position by default")] = ""
    details: Annotated[msgspec.Raw, Meta(description="JSON object with everything else the sensor sent")] = msgspec.Raw(
        b"{}"
    )
    flags: Annotated[list[str], Meta(description="What Sojourn changed or doubts, e.g. time_replaced")] = []
    connection: Annotated[
        msgspec.Raw,
        Meta(description="The connection record it is, or the word alone; set by the reader, never by the sensor"),
    ] = msgspec.Raw(b"")
    offset: Annotated[
        int, Meta(description="Offset in the source partition; set by the reader, never by the sensor")
    ] = 0
    index: Annotated[int, Meta(description="Position in the decoder's output for that offset; set by the reader")] = 0


class Amendment(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What an API sets in a session (Fudo facts 2.5); a field that is left out stays as it is in the session."""

    paused: bool | None = None
    retention_locked: bool | None = None
    terminate_at: Annotated[
        int | None, Meta(description="When it is to be ended, microseconds since 1970 UTC; 0 takes it away")
    ] = None
    reason: Annotated[str | None, Meta(description="Why it ended or is to end; empty text takes it away")] = None


class Connection(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Something happened to one connection: the input of the session machine, one message on ``connections``."""

    action: Action
    sensor: Annotated[str, Meta(min_length=1, description="Name of the sensor that saw it")]
    time: Annotated[int, Meta(description="Event time, microseconds since 1970 UTC; never the processor's clock")]
    session_id: Annotated[str, Meta(description="The sensor's own id; it names one session for ever")] = ""
    mac: Annotated[str, Meta(description="Identity of a device; makes the session a device session")] = ""
    protocol: Annotated[str, Meta(description="ssh, telnet, http, tcp …, lower case")] = ""
    client_ip: str = ""
    client_port: Port = 0
    client_name: str = ""
    server_ip: str = ""
    server_port: Port = 0
    server_name: str = ""
    started: Annotated[
        int | None, Meta(description="complete: start; disconnect, and activity of a process: start where it is known")
    ] = None
    ended: Annotated[int | None, Meta(description="complete: end, microseconds since 1970 UTC")] = None
    kind: Annotated[str, Meta(description="Label of the opening or closing, e.g. Connected, Device Down")] = ""
    disconnect_kind: Annotated[str, Meta(description="complete: label of the closing")] = ""
    user: str = ""
    user_id: str = ""
    server_user: str = ""
    token: str = ""
    location: str = ""
    category: str = ""
    container_id: str = ""
    boot_id: Annotated[str, Meta(description="sensor_start: id of the sensor's new life")] = ""
    process: Annotated[
        str,
        Meta(description="What a sensor tells its connections apart by and uses again: boot id and pid, flow number"),
    ] = ""
    opens: Annotated[bool, Meta(description="activity: any event of this format opens a session")] = False
    first_time: Annotated[int | None, Meta(description="activity: earliest event counted")] = None
    last_time: Annotated[int | None, Meta(description="activity: latest event counted")] = None
    record_id: Annotated[str, Meta(description="Deterministic id; its source position by default")] = ""
    attributes: Annotated[dict[str, str], Meta(description="Late facts and tags, merged into the session")] = {}
    amend: Annotated[Amendment | None, Meta(description="amend: the fields to set")] = None
    key: Annotated[
        str, Meta(description="amend, remove: the session's key as its row has it; made of the rest without")
    ] = ""
    source: Annotated[str, Meta(description="epoch/topic/partition the record was read from; set by route")] = ""
    positions: Annotated[
        list[int], Meta(description="Source positions of the events this record counts, ascending; set by route")
    ] = []


class Session(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One version of a session: one message on ``sessions``, one row of the table ``sessions``.

    The highest revision of (sensor, session_id) is the truth.
    """

    session_id: str
    sensor: str
    key: Annotated[str, Meta(description="Session key, JSON text: what its connection records are partitioned by")]
    state: State = State.OPEN
    end_reason: EndReason = EndReason.NONE
    started_at: Annotated[int | None, Meta(description="None when no start was seen")] = None
    ended_at: Annotated[int | None, Meta(description="None while open")] = None
    last_activity_at: int = 0
    duration: Annotated[float | None, Meta(description="Seconds; None when unknown")] = None
    duration_quality: DurationQuality = DurationQuality.UNKNOWN
    protocol: str = ""
    client_ip: str = ""
    client_port: int = 0
    client_name: str = ""
    server_ip: str = ""
    server_port: int = 0
    server_name: str = ""
    mac: str = ""
    user: str = ""
    user_id: str = ""
    server_user: str = ""
    user_seen_at: Annotated[int | None, Meta(description="Event time of the login the user name comes from")] = None
    token: str = ""
    location: str = ""
    category: str = ""
    container_id: str = ""
    connect_kind: str = ""
    disconnect_kind: str = ""
    event_count: int = 0
    revision: Annotated[int, Meta(description="Decides which version wins: rank << 56 | µs, at least previous + 1")] = 0
    version: Annotated[int, Meta(description="Records applied so far: the small counter clients see")] = 0
    created_at: Annotated[int, Meta(description="Broker time of the opening record")] = 0
    modified_at: Annotated[int, Meta(description="Broker time of the last record applied")] = 0
    removed: Annotated[bool, Meta(description="Hidden for ever, whatever comes later")] = False
    paused: Annotated[bool, Meta(description="Set by amend")] = False
    retention_locked: Annotated[bool, Meta(description="Set by amend: not to be deleted")] = False
    terminate_at: Annotated[int | None, Meta(description="Set by amend: when it is to be ended")] = None
    reason: Annotated[str, Meta(description="Set by amend: why it ended or is to end")] = ""
    requests: Annotated[
        tuple[str, ...], Meta(description="record_ids of the last records with amend or remove that were applied")
    ] = ()
    held: Annotated[bool, Meta(description="An end that waits for its opening; hidden until grace is over")] = False
    opened_by: Annotated[str, Meta(description="record_id of the opening record")] = ""
    closed_by: Annotated[str, Meta(description="record_id of the closing record")] = ""
    boot_id: str = ""
    flags: Annotated[list[str], Meta(description="What was doubtful, e.g. clock_skew")] = []
    attributes: dict[str, str] = {}
    positions: Annotated[
        dict[str, int], Meta(description="Per source partition, the last position counted into event_count")
    ] = {}


class Tick(msgspec.Struct, kw_only=True):
    """How far one source partition has come: a message without key, sent to every partition of ``connections``.

    ``sensors`` has the highest confirmed event time of each sensor that moved since the last tick.
    """

    source: Annotated[str, Meta(description="epoch/topic/partition the times were seen in")]
    caught_up: Annotated[bool, Meta(description="The reader stood at the end of that partition")]
    sensors: Annotated[dict[str, int], Meta(description="Sensor to highest event time, microseconds UTC")] = {}


#: Source positions are ``offset << INDEX_BITS | index``: ordered like the log, and unique per record of a message.
INDEX_BITS = 16


def position_of(offset: int, index: int) -> int:
    """The order of one record within its source partition."""
    return offset << INDEX_BITS | index


_encode_key = msgspec.json.Encoder().encode
_decode_key = msgspec.json.Decoder(list[str]).decode
_FLOW_PARTS = 3

#: A sensor logs what it saw of a flow as late as when it gives that flow up, long after the last packet.
FLOW_LOGGED_LATE = HOUR


def normal_mac(mac: str) -> str:
    """A MAC for comparing: lower case, without separators."""
    return mac.lower().replace(":", "").replace("-", "").replace(".", "")


def session_key(record: Connection | Event) -> bytes:
    """The session key as JSON text: what ``connections`` is partitioned by (session-semantics: session key).

    A record that says its ``key`` has that one. Else ``[sensor, session_id]`` when there is an id, ``[mac]`` for
    devices, ``[sensor, protocol, process]`` where the sensor's processes tell its connections apart, else
    ``[sensor, protocol, client, server]``. Empty when the record names no connection at all. With an id and a process
    it is ``[sensor, "", process]``: a flow, whose protocol is learned on its way, and whose id not every record knows.
    """
    if record.session_id:
        if isinstance(record, Connection) and (record.key or record.process):
            return record.key.encode() or _encode_key((record.sensor, "", record.process))
        return _encode_key((record.sensor, record.session_id))
    if record.mac:
        return _encode_key((normal_mac(record.mac),))
    if isinstance(record, Connection) and record.process:
        return _encode_key((record.sensor, record.protocol, record.process))
    if record.client_ip:
        return _encode_key(
            (
                record.sensor,
                record.protocol,
                f"{record.client_ip}:{record.client_port}",
                f"{record.server_ip}:{record.server_port}",
            )
        )
    return b""


def is_flow_key(key: bytes | str) -> bool:
    """Whether this is the key of flows: a number that the sensor uses again, for sessions that have ids."""
    parts = _decode_key(key) if key else []
    return len(parts) == _FLOW_PARTS and not parts[1]


def may_be_key_of(record: Connection) -> bool:
    """Whether the ``key`` a record says may be that of its session, spelt as ``session_key`` spells it."""
    try:
        parts = _decode_key(record.key)
    except msgspec.DecodeError:
        return False
    named = len(parts) != 2 or parts == [record.sensor, record.session_id]
    return named and 1 <= len(parts) <= 4 and _encode_key(parts) == record.key.encode()
