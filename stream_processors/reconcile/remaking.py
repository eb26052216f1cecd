"""Sessions made once more of stored events, by the same machine, in the order in which they were stored. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from schemas.records import Action, Connection, Session, Tick, normal_mac, session_key
from schemas.times import DAY
from stream_processors.machine.limits import Limits
from stream_processors.machine.sessionizer import Sessionizer

_decode = msgspec.json.Decoder(Session).decode


class Stored(msgspec.Struct, frozen=True):
    """A connection record out of ``events``; ``arrived`` is when it was stored, microseconds UTC."""

    record: Connection
    arrived: int


def remade(
    records: Iterable[Stored], removals: Iterable[Stored], reached: Mapping[str, int], limits: Limits, now: int
) -> dict[tuple[str, str], Session]:
    """All sessions of ``records``, by sensor and id, as a reader sees them.

    ``removals``: requests to remove a device, whatever its sessions' keys are. ``reached``: sensor → event time it has
    come to (microseconds UTC); ``now`` is the wall clock.
    """
    machine = Sessionizer(limits)
    found: dict[tuple[str, str], Session] = {}
    seen: dict[str, int] = {}
    for offset, stored in enumerate(records):
        record = stored.record
        seen[record.sensor] = max(seen.get(record.sensor, 0), stored.arrived)
        key = b"[]" if record.action is Action.SENSOR_START else session_key(record)
        machine.apply(key, record, stored.arrived, offset)
        _take(machine, found)
    for sensor, time in reached.items():
        tick = Tick(source="reconcile", caught_up=True, sensors={sensor: time})
        machine.tick(tick, seen.get(sensor, 0))
        _take(machine, found)
    # What waits for processing time has waited long enough.
    machine.sweep(now)
    _take(machine, found)
    for stored in removals:
        for session in found.values():
            if session.mac and stored.record.mac and _is_removed_by(stored, session):
                session.removed = True
    return found


def watermark_of(latest: list[int]) -> int:
    """How far a sensor has come, by its latest three event times, newest first: a wild clock needs three records."""
    newest, oldest = latest[0], latest[-1]
    return newest if len(latest) < 3 or newest - oldest <= DAY else oldest


def _is_removed_by(removal: Stored, session: Session) -> bool:
    return normal_mac(removal.record.mac) == normal_mac(session.mac) and session.created_at < removal.arrived


def _take(machine: Sessionizer, found: dict[tuple[str, str], Session]) -> None:
    for _, value, _ in machine.take_versions():
        session = _decode(value)
        known = found.get((session.sensor, session.session_id))
        if known is None or known.revision <= session.revision:
            found[session.sensor, session.session_id] = session
