"""Events of a session that neither open nor close it, added up per session within a batch.

One record on ``connections`` then stands for many events. It names the position of each event it counts, so the
session machine counts every event once, however the log is cut into batches (hard-questions: counting activity).
"""

from schemas.kinds import CODES
from schemas.records import Action, Connection, Event, position_of

#: Attribute that says whether a login succeeded (stream_processors.machine.merging), by kind of event.
_LOGIN = {kind: kind.removeprefix("login.") for kind in CODES if kind.startswith("login.")}


def activity_of(event: Event, source: str) -> Connection:
    """The activity record of one event; ``source`` is epoch/topic/partition. It has no record id: positions tell."""
    login = _LOGIN.get(event.kind) if event.user else None
    return Connection(
        action=Action.ACTIVITY,
        sensor=event.sensor,
        time=event.time,
        session_id=event.session_id,
        mac=event.mac,
        protocol=event.protocol,
        client_ip=event.client_ip,
        client_port=event.client_port,
        server_ip=event.server_ip,
        server_port=event.server_port,
        user=event.user,
        token=event.token,
        location=event.location,
        category=event.category,
        container_id=event.container_id,
        first_time=event.time,
        last_time=event.time,
        source=source,
        positions=[position_of(event.offset, event.index)],
        attributes={"login": login} if login else {},
    )


def add_activity(record: Connection, event: Event) -> bool:
    """Count one more event of the same session; false when it says something of its own: who is logged in, or, where
    the key has no id, another time: between two times of one key another session may have begun."""
    if event.user and (event.user != record.user or event.kind in _LOGIN):
        return False
    time = event.time
    if not event.session_id and time != record.time:
        return False
    if record.last_time is None or time > record.last_time:
        record.time = record.last_time = time
    if record.first_time is None or time < record.first_time:
        record.first_time = time
    record.positions.append(position_of(event.offset, event.index))
    return True
