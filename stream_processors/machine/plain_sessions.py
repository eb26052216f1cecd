"""Sessions that open, end, and say nothing unusual, as nearly all do: each step at once, on structs that have no more.

A ``Session`` that is made, filled, filled again and encoded costs twice as much, and finding out that a ``Connection``
says nothing unusual as much as reading it. Here whatever is unusual is an error of the decoder.
"""

from typing import Annotated

import msgspec

from schemas.records import Action, Connection, DurationQuality, EndReason, Port, Session, State
from schemas.times import SECOND
from stream_processors.machine.merging import names_more
from stream_processors.machine.revisions import EXACT_RANK, OPEN_RANK

# A member of an enumeration costs 65 ns to look up by its name, a tenth of decoding a record.
_OPEN, _CLOSED = State.OPEN, State.CLOSED
_NONE, _ENDED = EndReason.NONE, EndReason.DISCONNECT
_UNKNOWN, _EXACT = DurationQuality.UNKNOWN, DurationQuality.EXACT


class PlainConnection(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A ``Connection`` that says what nearly every connect and disconnect says, and nothing else."""

    action: Action
    sensor: Annotated[str, msgspec.Meta(min_length=1)]
    time: int
    session_id: str = ""
    protocol: str = ""
    client_ip: str = ""
    client_port: Port = 0
    server_ip: str = ""
    server_port: Port = 0
    kind: str = ""
    token: str = ""
    record_id: str = ""
    source: str = ""
    positions: list[int] = []


class PlainSession(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A ``Session`` of which only such records are known, and activity that said no more."""

    session_id: str
    sensor: str
    key: str
    state: State = _OPEN
    end_reason: EndReason = _NONE
    duration_quality: DurationQuality = _UNKNOWN
    started_at: int | None = None
    ended_at: int | None = None
    last_activity_at: int = 0
    duration: float | None = None
    event_count: int = 0
    revision: int = 0
    version: int = 0
    positions: dict[str, int] = {}
    protocol: str = ""
    client_ip: str = ""
    client_port: int = 0
    server_ip: str = ""
    server_port: int = 0
    token: str = ""
    connect_kind: str = ""
    disconnect_kind: str = ""
    created_at: int = 0
    modified_at: int = 0
    opened_by: str = ""
    closed_by: str = ""


_encode = msgspec.json.Encoder().encode
decode_connection = msgspec.json.Decoder(PlainConnection).decode
_decode_session = msgspec.json.Decoder(PlainSession).decode


def opening_version(key: bytes, opening: PlainConnection, opened: int) -> bytes:
    """The session that has begun with ``opening``, as JSON of a ``Session``; ``opened`` is the record's broker time,
    microseconds UTC."""
    time, positions = opening.time, opening.positions
    return _encode(
        PlainSession(
            opening.session_id,
            opening.sensor,
            key.decode(),
            _OPEN,
            _NONE,
            _UNKNOWN,
            time,
            None,
            time,
            None,
            len(positions) or 1,
            OPEN_RANK | time,
            1,
            {opening.source: positions[-1]} if positions else {},
            opening.protocol,
            opening.client_ip,
            opening.client_port,
            opening.server_ip,
            opening.server_port,
            opening.token,
            opening.kind,
            "",
            opened,
            opened,
            opening.record_id,
        )
    )


def ended_version(value: bytes, closing: PlainConnection, closed: int) -> bytes | None:
    """The open session that ``value`` is the last version of, ended by ``closing``; broker time as above.

    None when there is more to it.
    """
    try:
        session = _decode_session(value)
    except msgspec.ValidationError:
        return None
    return _encode(session) if end_plainly(session, closing, closed) else None


def short_version(
    key: bytes, opening: PlainConnection, opened: int, closing: PlainConnection, closed: int
) -> bytes | None:
    """The session that ``opening`` and ``closing`` make, without ``opening_version`` between them.

    None when the closing names what the opening does not, when they contradict each other, or are one record twice.
    """
    began, ended = opening.time, closing.time
    opened_at, closed_at = opening.positions, closing.positions
    if ended < began or len(closed_at) != 1 or names_more(opening, closing):
        return None
    positions = {opening.source: opened_at[-1]} if opened_at else {}
    if positions.get(closing.source, -1) >= closed_at[0]:
        return None
    positions[closing.source] = closed_at[0]
    return _encode(
        PlainSession(
            opening.session_id,
            opening.sensor,
            key.decode(),
            _CLOSED,
            _ENDED,
            _EXACT,
            began,
            ended,
            ended,
            (ended - began) / SECOND,
            (len(opened_at) or 1) + 1,
            EXACT_RANK | ended,
            2,
            positions,
            opening.protocol,
            opening.client_ip,
            opening.client_port,
            opening.server_ip,
            opening.server_port,
            opening.token,
            opening.kind,
            closing.kind,
            opened,
            closed if closed > opened else opened,
            opening.record_id,
            closing.record_id,
        )
    )


def begun_with(key: bytes, record: Connection | PlainConnection, broker_time: int) -> Session:
    """The session that has begun with this record, a connect, as far as a plain record says; ``broker_time`` is in
    microseconds UTC."""
    time = record.time
    positions = record.positions
    # Assigning costs half of what as many keyword arguments cost.
    session = Session(session_id=record.session_id, sensor=record.sensor, key=key.decode())
    session.started_at = session.last_activity_at = time
    session.created_at = session.modified_at = broker_time
    session.protocol = record.protocol
    session.client_ip = record.client_ip
    session.client_port = record.client_port
    session.server_ip = record.server_ip
    session.server_port = record.server_port
    session.token = record.token
    session.opened_by = record.record_id
    session.connect_kind = record.kind
    session.version = 1
    session.revision = OPEN_RANK | time
    session.event_count = len(positions) or 1
    if positions:
        session.positions = {record.source: positions[-1]}
    return session


def end_plainly(session: Session | PlainSession, record: PlainConnection, broker_time: int) -> bool:
    """End an open session, neither flagged nor removed, by one new record, a disconnect; ``broker_time``: µs UTC.

    False when there is more to it; nothing has changed then.
    """
    time = record.time
    start = session.started_at
    if session.end_reason is not _NONE or start is None or time < start or session.last_activity_at > time:
        return False
    positions = record.positions
    if len(positions) != 1 or names_more(session, record):
        return False
    source = record.source
    counted = session.positions
    position = positions[0]
    if counted.get(source, -1) >= position:
        return False
    counted[source] = position
    session.event_count += 1
    session.state = _CLOSED
    session.end_reason = _ENDED
    session.ended_at = session.last_activity_at = time
    session.duration = (time - start) / SECOND
    session.duration_quality = _EXACT
    session.closed_by = record.record_id
    if record.kind:
        session.disconnect_kind = record.kind
    if broker_time > session.modified_at:
        session.modified_at = broker_time
    session.version += 1
    revision = EXACT_RANK | time
    session.revision = revision if revision > session.revision else session.revision + 1
    return True
