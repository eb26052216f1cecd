"""The plain opening and the plain end of a session, which are most of all records, each in one step."""

from schemas.records import Connection, DurationQuality, EndReason, Session, State
from schemas.times import SECOND
from stream_processors.machine.merging import identify, names_more, says_more
from stream_processors.machine.revisions import EXACT_RANK, OPEN_RANK

# A member of an enumeration costs 65 ns to look up by its name, a tenth of decoding a record.
_CLOSED = State.CLOSED
_NONE, _ENDED = EndReason.NONE, EndReason.DISCONNECT
_EXACT = DurationQuality.EXACT


def begun_with(key: bytes, record: Connection, broker_time: int) -> Session:
    """The session that has begun with this record, a connect; ``broker_time`` is in microseconds UTC."""
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
    if says_more(record):
        identify(session, record)
    return session


def end_plainly(session: Session, record: Connection, broker_time: int) -> bool:
    """End an open session by one new record, a disconnect, that says nothing else; ``broker_time``: microseconds UTC.

    False when there is more to it; nothing has changed then.
    """
    time = record.time
    start = session.started_at
    if session.end_reason is not _NONE or start is None or time < start or session.last_activity_at > time:
        return False
    positions = record.positions
    if len(positions) != 1 or session.flags or names_more(session, record) or says_more(record):
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
