"""A session machine in a test: records by a few words, ticks by hand, the last version of each session."""

from itertools import count

import msgspec

from schemas.records import Action, Amendment, Connection, Session, Tick, normal_mac, session_key
from schemas.settings import Sessions
from schemas.times import HOUR, SECOND
from stream_processors.machine.limits import limits_of
from stream_processors.machine.sessionizer import Sessionizer

#: 2026-01-01T00:00:00Z
DAY0 = 1_767_225_600 * SECOND


def at(hour: float) -> int:
    """Event time at an hour of the first day, microseconds UTC."""
    return DAY0 + round(hour * HOUR)


_SOURCES = count(1)


class Machine:
    """Feeds a Sessionizer and keeps the winning version of every session it publishes."""

    def __init__(self, sessions: Sessions | None = None, lookups: bool = False) -> None:
        self.settings = sessions or Sessions()
        self.lookups = lookups
        self.answers = True
        self.machine = Sessionizer(limits_of(self.settings), lookups)
        self.versions: list[Session] = []
        self.stored: dict[tuple[str, str], Session] = {}
        self._offsets = count()
        self.now = DAY0

    def feed(self, *records: Connection) -> "Machine":
        for record in records:
            offset = next(self._offsets)
            if not record.positions:
                # Every record its own source: no order among them is taken for granted.
                record = _copy(record, source=f"e/t/{next(_SOURCES)}", positions=[offset])
            if not record.record_id:
                record = _copy(record, record_id=f"r/{record.action}/{record.time}/{record.session_id or record.mac}")
            self._apply(record, offset)
            self._take()
        return self

    def batch(self, *steps: Connection | int) -> "Machine":
        """Records, and event times that the sensor ``s`` comes to, whose versions are taken together."""
        for step in steps:
            if isinstance(step, int):
                self.machine.tick(Tick(source="e/t/0", caught_up=True, sensors={"s": step}), self.now)
            else:
                self._apply(step, next(self._offsets))
        self._take()
        return self

    def reach(self, time: int, sensor: str = "s", after: int = SECOND) -> "Machine":
        """The sensor's event time has come to ``time``, and ``after`` microseconds of processing have passed."""
        self.now += after
        self.machine.tick(Tick(source="e/t/0", caught_up=True, sensors={sensor: time}), self.now)
        self._take()
        return self

    def successor(self, position: int) -> "Machine":
        """Another machine that took over after a crash: it knows what was published, and reads from ``position``."""
        heir = Machine(self.settings, self.lookups)
        heir.stored, heir.versions, heir.now = dict(self.stored), list(self.versions), self.now
        heir.machine.restore([_copy_session(one) for one in self.stored.values()])
        heir._offsets = count(position)
        return heir

    def sweep(self, now: int) -> "Machine":
        self.machine.sweep(now)
        self._take()
        return self

    def look_up(self) -> None:
        """Answer what the machine wants to know, from what was stored; a test may keep the answer back."""
        if not self.answers:
            return
        for key in self.machine.take_lookups(100):
            known = [one for one in self.stored.values() if one.key.encode() == key and not one.held]
            self.machine.resolve(key, [_copy_session(one) for one in known])
        for write in self.machine.take_writes(100):
            answer = [_copy_session(one) for one in self.stored.values() if _is_about(write.record, one)]
            self.machine.resolve_write(write, answer)

    def _apply(self, record: Connection, offset: int) -> None:
        """As a worker does."""
        key = session_key(record)
        if not self.machine.take(key, msgspec.json.encode(record), self.now):
            self.machine.apply(key, _copy(record), self.now, offset)

    def _take(self) -> None:
        self._store()
        self.look_up()
        self._store()

    def _store(self) -> None:
        for session in self.machine.take_changes():
            version = _copy_session(session)
            self.versions.append(version)
            known = self.stored.get((version.sensor, version.session_id))
            if known is None or version.revision >= known.revision:
                self.stored[version.sensor, version.session_id] = version

    @property
    def sessions(self) -> list[Session]:
        """What a reader of the table sees: newest versions, removed ones left out, by start."""
        current = [one for one in self.stored.values() if not one.removed and not one.held]
        return sorted(current, key=lambda one: (one.started_at or one.ended_at or 0, one.session_id))

    def session(self, session_id: str) -> Session:
        (found,) = [one for one in self.sessions if one.session_id == session_id]
        return found


def _is_about(record: Connection, session: Session) -> bool:
    if session.held:
        return False
    if record.session_id:
        return (record.sensor, record.session_id) == (session.sensor, session.session_id)
    return normal_mac(record.mac) == normal_mac(session.mac)


def _copy(record: Connection, **changes: object) -> Connection:
    return msgspec.structs.replace(record, **changes)


def _copy_session(session: Session) -> Session:
    return msgspec.json.decode(msgspec.json.encode(session), type=Session)


def connect(time: int, session_id: str = "a", **fields: object) -> Connection:
    return _record(Action.CONNECT, time, session_id, fields)


def disconnect(time: int, session_id: str = "a", **fields: object) -> Connection:
    return _record(Action.DISCONNECT, time, session_id, fields)


def activity(time: int, session_id: str = "a", **fields: object) -> Connection:
    return _record(Action.ACTIVITY, time, session_id, fields)


def amend(session: Session, request: str = "q", **fields: object) -> Connection:
    """An API's record about a session as its row shows it; ``attributes`` beside the fields of Amendment."""
    attributes = fields.pop("attributes", {})
    changes = Amendment(**fields) if fields else None  # type: ignore[arg-type]
    return _write(Action.AMEND, session, request, amend=changes, attributes=attributes)


def remove(session: Session, request: str = "q") -> Connection:
    return _write(Action.REMOVE, session, request)


def remove_device(mac: str, time: int, request: str = "q") -> Connection:
    return Connection(action=Action.REMOVE, sensor="api", mac=mac, time=time, record_id=request)


def _write(action: Action, session: Session, request: str, **fields: object) -> Connection:
    return Connection(
        action=action,
        sensor=session.sensor,
        session_id=session.session_id,
        key=session.key,
        time=session.last_activity_at + HOUR,
        record_id=request,
        **fields,  # type: ignore[arg-type]
    )


def _record(action: Action, time: int, session_id: str, fields: dict[str, object]) -> Connection:
    known: dict[str, object] = {"sensor": "s", "protocol": "ssh", "client_ip": "203.0.113.7", "client_port": 4022}
    if "mac" in fields:
        known = {"sensor": "s"}
        session_id = ""
    return Connection(action=action, time=time, session_id=session_id, **{**known, **fields})  # type: ignore[arg-type]
