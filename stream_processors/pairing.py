"""Sessions of keys without an id: devices (MAC) and connections known only by their addresses.

What belongs together follows from event times alone, so a key keeps its recent records as marks on a time line and
pairs the whole line anew when a record arrives. A mark leaves the line once grace is over. Source: session-semantics,
"Device pairing" and the rules for supersede and orphan.
"""

from bisect import bisect_left, bisect_right
from itertools import groupby
from uuid import UUID, uuid5

import msgspec

from schemas.metrics import Counters
from schemas.records import Action, Connection, EndReason, Session, State
from stream_processors.endings import EVIDENCE, GUESSES, close, reopen
from stream_processors.limits import Limits
from stream_processors.merging import identify
from stream_processors.revisions import next_revision

#: Label of the end that no event was seen for (NetAlertX facts 2.1).
MISSING = "<missing event>"

_NAMESPACE = UUID("5c1a1f0e-7d2b-5d0a-9f53-0b6e4c0d7a11")
_MAX_MARKS = 4096


def opened_id(key: bytes, time: int) -> str:
    """Id of the session of ``key`` that began at ``time``: the same after every replay."""
    return str(uuid5(_NAMESPACE, f"{key.decode()}@{time}"))


def _orphan_id(key: bytes, time: int) -> str:
    return str(uuid5(_NAMESPACE, f"{key.decode()}@end@{time}"))


class _Mark:
    """One record on the time line of its key, or a settled session that the line goes on from."""

    __slots__ = ("base", "broker_time", "offset", "record", "time", "weight")

    def __init__(
        self, time: int, record: Connection | None, base: Session | None, broker_time: int, offset: int
    ) -> None:
        self.time = time
        self.record = record
        self.base = base
        self.broker_time = broker_time
        self.offset = offset
        #: Stored events this mark stands for.
        self.weight = 0

    @property
    def opens(self) -> bool:
        return self.base is not None or (self.record is not None and self.record.action is Action.CONNECT)

    @property
    def closes(self) -> bool:
        return self.record is not None and self.record.action is Action.DISCONNECT


class _Line:
    """Pairs the marks of one key, in order of event time."""

    def __init__(self, key: bytes, device: bool, limits: Limits, boot: int, watermark: int) -> None:
        self.key = key
        self.device = device
        self.limits = limits
        self.boot = boot
        self.watermark = watermark
        self.sessions: list[Session] = []
        self.current: Session | None = None
        #: Marks that nothing pairs with yet and whose grace is not over.
        self.waiting: list[_Mark] = []

    def run(self, marks: list[_Mark]) -> None:
        for time, group in groupby(marks, key=lambda mark: mark.time):
            openers: list[_Mark] = []
            closers: list[_Mark] = []
            others: list[_Mark] = []
            for mark in group:
                (openers if mark.opens else closers if mark.closes else others).append(mark)
            current = self.current
            if closers and current is not None and (current.started_at is None or current.started_at < time):
                self._end(current, closers.pop(0))
            for mark in openers:
                self._open(mark)
            for mark in closers:
                if self.current is not None and not self.device:
                    # Connect and disconnect at one time: a session of no length. A device's pair strictly later.
                    self._end(self.current, mark)
                else:
                    self._orphan(mark)
            for mark in others:
                self._touch(mark)
        if self.current is not None:
            self._judge_open(self.current)

    def idle_of(self, session: Session) -> int:
        return self.limits.idle_device if self.device else self.limits.idle_of(session.protocol)

    def _open(self, mark: _Mark) -> None:
        current = self.current
        if current is not None:
            self._supersede(current, mark.time)
        session = self._begun(mark)
        self.sessions.append(session)
        self.current = session if session.state is State.OPEN or session.end_reason in GUESSES else None
        if self.current is not None and session.end_reason in GUESSES:
            reopen(session)

    def _begun(self, mark: _Mark) -> Session:
        if mark.base is not None:
            base = msgspec.structs.replace(mark.base, attributes=dict(mark.base.attributes))
            base.event_count += mark.weight
            return base
        assert mark.record is not None
        record = mark.record
        session = Session(
            session_id=opened_id(self.key, mark.time),
            sensor=record.sensor,
            key=self.key.decode(),
            started_at=mark.time,
            last_activity_at=mark.time,
            connect_kind=record.kind,
            opened_by=record.record_id,
            created_at=mark.broker_time,
        )
        self._apply(session, mark)
        return session

    def _supersede(self, session: Session, time: int) -> None:
        """A later opening while this one is open. By event time it may have ended before that, for another reason."""
        idle = self.idle_of(session)
        if idle and time - session.last_activity_at > idle:
            close(session, EndReason.IDLE_TIMEOUT, session.last_activity_at)
        elif session.last_activity_at < self.boot <= time:
            close(session, EndReason.SENSOR_RESTART, session.last_activity_at)
        else:
            close(session, EndReason.SUPERSEDED, session.last_activity_at)
        if self.device:
            session.disconnect_kind = MISSING
        self.current = None

    def _end(self, session: Session, mark: _Mark) -> None:
        assert mark.record is not None
        self._apply(session, mark)
        session.disconnect_kind = mark.record.kind
        session.closed_by = mark.record.record_id
        session.last_activity_at = max(session.last_activity_at, mark.time)
        close(session, EndReason.DISCONNECT, mark.time)
        self.current = None

    def _orphan(self, mark: _Mark) -> None:
        if self.watermark < mark.time + self.limits.grace:
            self.waiting.append(mark)
            return
        assert mark.record is not None
        session = Session(
            session_id=_orphan_id(self.key, mark.time),
            sensor=mark.record.sensor,
            key=self.key.decode(),
            last_activity_at=mark.time,
            connect_kind=MISSING if self.device else "",
            disconnect_kind=mark.record.kind,
            closed_by=mark.record.record_id,
            created_at=mark.broker_time,
        )
        self._apply(session, mark)
        close(session, EndReason.ORPHAN, mark.time)
        self.sessions.append(session)

    def _touch(self, mark: _Mark) -> None:
        """Activity and late facts belong to the session that is open then, else to the one that ended last."""
        assert mark.record is not None
        session = self.current or (self.sessions[-1] if self.sessions else None)
        if session is None:
            if mark.record.opens:
                session = self.current = self._begun(mark)
                session.connect_kind = ""
                self.sessions.append(session)
            else:
                self.waiting.append(mark)
            return
        self._apply(session, mark)
        if session is self.current and mark.record.action is Action.ACTIVITY:
            session.last_activity_at = max(session.last_activity_at, mark.record.last_time or mark.time)

    def _apply(self, session: Session, mark: _Mark) -> None:
        assert mark.record is not None
        identify(session, mark.record)
        session.event_count += mark.weight
        session.version += 1
        session.modified_at = max(session.modified_at, mark.broker_time)

    def _judge_open(self, session: Session) -> None:
        """Close what the line leaves open, when the sensor's event time or its restart says so."""
        idle, longest = self.idle_of(session), 0 if self.device else self.limits.max_duration
        start = session.started_at
        if session.last_activity_at < self.boot:
            close(session, EndReason.SENSOR_RESTART, session.last_activity_at)
        elif idle and self.watermark >= session.last_activity_at + idle + self.limits.grace:
            close(session, EndReason.IDLE_TIMEOUT, session.last_activity_at)
        elif longest and start is not None and self.watermark >= start + longest + self.limits.grace:
            close(session, EndReason.MAX_DURATION, session.last_activity_at)


class KeyHistory:
    """Everything in memory about one key without an id."""

    __slots__ = ("_cursor", "_device", "_interim", "_marks", "_published", "bucket", "held", "key", "sensor")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.sensor = ""
        self.bucket = -1
        #: Offset of the oldest record that still waits for its partner.
        self.held: int | None = None
        self._device = len(msgspec.json.decode(key, type=list[str])) == 1
        self._marks: list[_Mark] = []
        self._published: dict[str, Session] = {}
        self._cursor: dict[str, int] = {}
        self._interim = 0

    def restore(self, stored: list[Session]) -> None:
        """Go on from sessions that a store kept. Orphans are final; they only say what was counted."""
        for session in sorted(stored, key=lambda one: one.started_at or one.last_activity_at):
            self.sensor = self.sensor or session.sensor
            for source, position in session.positions.items():
                self._cursor[source] = max(position, self._cursor.get(source, -1))
            if session.started_at is not None:
                self._published[session.session_id] = session
                self._marks.append(_Mark(session.started_at, None, session, session.created_at, -1))

    def is_empty(self) -> bool:
        return not self._marks

    def add(self, record: Connection, broker_time: int, offset: int) -> bool:
        """Put a record on the line; false when it had been there before."""
        self.sensor = self.sensor or record.sensor
        weight = self._new_events(record)
        if not weight:
            return False
        time = record.time if record.first_time is None else record.first_time
        place = bisect_left(self._marks, time, key=lambda mark: mark.time)
        twin = None
        for mark in self._marks[place : bisect_right(self._marks, time, key=lambda mark: mark.time)]:
            if mark.base is None and mark.record is not None and mark.record.action is record.action:
                twin = mark
            elif mark.base is not None and record.action is Action.CONNECT:
                # The session began with this very record, or with one of the same time.
                mark.weight += weight
                return True
        if twin is not None and twin.record is not None and record.action in (Action.CONNECT, Action.DISCONNECT):
            # Openers of equal time merge, and so do closers; New Device names the kind.
            if _naming(record) < _naming(twin.record):
                twin.record = record
            twin.weight += weight
            twin.broker_time = max(twin.broker_time, broker_time)
            return True
        mark = _Mark(time, record, None, broker_time, offset)
        mark.weight = weight
        self._marks.insert(bisect_right(self._marks, time, key=lambda one: one.time), mark)
        return True

    def versions(self, limits: Limits, boot: int, watermark: int, time: int, counters: Counters) -> list[Session]:
        """Pair the line and return what differs from what was published. ``time`` caused the change."""
        line = self._paired(self._marks, limits, boot, watermark)
        self.held = min((mark.offset for mark in line.waiting), default=None)
        changed = []
        for session in line.sessions:
            known = self._published.get(session.session_id)
            if known is not None:
                if self._same(session, known):
                    continue
                session.revision = known.revision
                session.version = max(session.version, known.version + 1)
            _count_change(known, session, counters)
            session.positions = dict(self._cursor)
            session.revision = next_revision(session, _cause(session, line, time), 1)
            changed.append(session)
        for session_id in self._published.keys() - {session.session_id for session in line.sessions}:
            known = self._published[session_id]
            if not known.removed:
                # A late record moved an opening: the session it belonged to is another one now.
                gone = msgspec.structs.replace(known, removed=True, version=known.version + 1)
                gone.revision = next_revision(gone, time, 1)
                changed.append(gone)
        changed.extend(self._interim_version(line, limits, watermark, changed))
        for session in changed:
            self._published[session.session_id] = session
        return changed

    def settle(self, watermark: int, now: int, limits: Limits) -> None:
        """Take marks off the line whose grace is over in event time and in processing time."""
        cut = 0
        for mark in self._marks:
            if mark.time + limits.grace > watermark or mark.broker_time + limits.keep > now:
                break
            cut += 1
        if len(self._marks) > _MAX_MARKS:
            cut = max(cut, len(self._marks) - _MAX_MARKS // 2)
        while 0 < cut < len(self._marks) and self._marks[cut].time == self._marks[cut - 1].time:
            cut -= 1
        if cut == 0:
            return
        line = self._paired(self._marks[:cut], limits, 0, watermark)
        rest = self._marks[cut:]
        last = line.sessions[-1] if line.sessions else None
        for session in line.sessions:
            if session is not last or not self._keeps(session, limits, watermark):
                self._published.pop(session.session_id, None)
        for session_id in [known.session_id for known in self._published.values() if known.removed]:
            del self._published[session_id]
        if last is not None and last.started_at is not None and self._keeps(last, limits, watermark):
            rest.insert(0, _Mark(last.started_at, None, last, last.created_at, -1))
        self._marks = rest

    def deadline(self, limits: Limits) -> int | None:
        """Watermark at which something may be due; None when nothing ever is."""
        due = [mark.time + limits.grace for mark in self._marks if mark.base is None]
        for session in self._published.values():
            if session.state is State.OPEN and not session.removed:
                idle = limits.idle_device if self._device else limits.idle_of(session.protocol)
                if idle:
                    due.append(session.last_activity_at + idle + limits.grace)
                if not self._device and limits.max_duration and session.started_at is not None:
                    due.append(session.started_at + limits.max_duration + limits.grace)
                if not self._device and limits.interim and self._interim:
                    due.append(self._interim)
            elif session.end_reason in GUESSES and not self._device:
                due.append(session.last_activity_at + 2 * limits.idle_of(session.protocol) + limits.grace)
        return min(due, default=None)

    def _keeps(self, session: Session, limits: Limits, watermark: int) -> bool:
        """The last session of a device is kept always; others while they are open or their guessed end may be wrong."""
        if self._device or session.state is State.OPEN:
            return True
        idle = limits.idle_of(session.protocol)
        return session.end_reason in GUESSES and watermark < session.last_activity_at + 2 * idle + limits.grace

    def _paired(self, marks: list[_Mark], limits: Limits, boot: int, watermark: int) -> _Line:
        line = _Line(self.key, self._device, limits, boot, watermark)
        line.run(marks)
        return line

    def _new_events(self, record: Connection) -> int:
        if not record.positions:
            return 1
        counted = self._cursor.get(record.source, -1)
        fresh = len(record.positions) - bisect_right(record.positions, counted)
        if fresh:
            self._cursor[record.source] = record.positions[-1]
        return fresh

    def _same(self, session: Session, known: Session) -> bool:
        """Nothing differs but what every record of the key moves."""
        version = session.version
        session.revision, session.version = known.revision, known.version
        session.modified_at, session.positions = max(session.modified_at, known.modified_at), known.positions
        same = session == known
        session.version = version
        return same

    def _interim_version(self, line: _Line, limits: Limits, watermark: int, changed: list[Session]) -> list[Session]:
        session = line.current
        if session is None or self._device or not limits.interim or session.state is not State.OPEN:
            self._interim = 0
            return []
        if not self._interim:
            self._interim = session.last_activity_at + limits.interim
        if watermark < self._interim:
            return []
        due = self._interim
        while self._interim <= watermark:
            self._interim += limits.interim
        if any(one.session_id == session.session_id for one in changed):
            return []
        known = self._published[session.session_id]
        return [msgspec.structs.replace(known, revision=next_revision(known, due, 0))]


def _naming(record: Connection) -> tuple[bool, str]:
    """Order in which merged records name their session: New Device first, then any fixed order."""
    return record.kind.lower() not in ("new device", "device.new"), record.record_id


def _cause(session: Session, line: _Line, time: int) -> int:
    """Event time of a version: its record's, or the deadline of the timer that closed it."""
    if session.end_reason is EndReason.IDLE_TIMEOUT:
        return session.last_activity_at + line.idle_of(session)
    if session.end_reason is EndReason.MAX_DURATION and session.started_at is not None:
        return session.started_at + line.limits.max_duration
    if session.end_reason is EndReason.SENSOR_RESTART:
        return line.boot
    return time


def _count_change(known: Session | None, session: Session, counters: Counters) -> None:
    if known is None and session.started_at is not None:
        counters.add("sessions_opened_total")
    if session.state is State.CLOSED and (known is None or known.state is State.OPEN):
        counters.add("sessions_closed_total")
    if session.end_reason is EndReason.ORPHAN and known is None:
        counters.add("sessions_orphaned_total")
    if session.end_reason is EndReason.SUPERSEDED and (known is None or known.end_reason is not EndReason.SUPERSEDED):
        counters.add("sessions_superseded_total")
    if known is not None and known.end_reason in GUESSES and session.end_reason in EVIDENCE:
        counters.add("session_corrected_total")
