"""What an API writes: connection records like any sensor's, on ``sensor.connections`` (docs/life-of-a-record.md).

A request's id is the ``record_id`` of its record. A write is visible when a row of ``sessions_all`` has that id in
``requests``; a session that the record opened has it in ``opened_by``.
"""

import msgspec

from schemas import topics
from schemas.records import Action, Amendment, Connection, session_key
from schemas.times import rfc3339

_TIMES = ("time", "started", "ended", "first_time", "last_time")


class Write(msgspec.Struct, frozen=True):
    """One message: publish it with ``Publisher.send(*write)``."""

    key: bytes
    value: bytes
    topic: str = topics.CONNECTIONS_IN


class Target(msgspec.Struct, frozen=True):
    """The session a request is about: three columns of its row, as they are."""

    sensor: str
    session_id: str
    key: str


def amend(
    target: Target, request_id: str, time: int, amendment: Amendment, attributes: dict[str, str] | None = None
) -> Write:
    """Set fields of a session, and attributes by name. ``time``: when it was asked for, microseconds UTC."""
    return write_of(
        Connection(
            action=Action.AMEND,
            sensor=target.sensor,
            session_id=target.session_id,
            key=target.key,
            time=time,
            record_id=request_id,
            amend=amendment,
            attributes=attributes or {},
        )
    )


def remove(target: Target, request_id: str, time: int) -> Write:
    """Hide a session for ever."""
    return write_of(
        Connection(
            action=Action.REMOVE,
            sensor=target.sensor,
            session_id=target.session_id,
            key=target.key,
            time=time,
            record_id=request_id,
        )
    )


def remove_device(sensor: str, mac: str, request_id: str, time: int) -> Write:
    """Hide every session that a device has by now, whichever sensor saw it. ``sensor`` names who asks."""
    return write_of(Connection(action=Action.REMOVE, sensor=sensor, mac=mac, time=time, record_id=request_id))


def write_of(record: Connection) -> Write:
    """A connection record as its sensor would publish it: times as text, keyed by session."""
    fields = msgspec.to_builtins(record)
    for name in _TIMES:
        if fields.get(name) is not None:
            fields[name] = rfc3339(fields[name])
    amendment = fields.get("amend")
    if amendment and "terminate_at" in amendment:
        amendment["terminate_at"] = rfc3339(amendment["terminate_at"])
    return Write(session_key(record), msgspec.json.encode(fields))
