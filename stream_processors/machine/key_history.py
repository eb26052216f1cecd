"""Everything in memory about one key without an id: its time line, and what was published of it."""

from bisect import bisect_left, bisect_right

import msgspec

from schemas.metrics import Counters
from schemas.records import Action, Connection, EndReason, Session, State
from stream_processors.machine import amending
from stream_processors.machine.boots import Boots
from stream_processors.machine.endings import EVIDENCE, GUESSES, close
from stream_processors.machine.limits import Limits
from stream_processors.machine.marks import Mark
from stream_processors.machine.merging import facts_of
from stream_processors.machine.revisions import next_revision
from stream_processors.machine.timeline import Line
from stream_processors.machine.writes import Write, may_remove

_MAX_MARKS = 4096
_ENDS = frozenset({Action.CONNECT, Action.DISCONNECT})
_NO_BOOTS = Boots()


class KeyHistory:
    """Everything in memory about one key without an id."""

    __slots__ = (
        "_asks",
        "_attributes",
        "_cursor",
        "_device",
        "_interim",
        "_marks",
        "_over",
        "_published",
        "guessed",
        "held",
        "key",
        "sensor",
        "wants_lookup",
    )

    def __init__(self, key: bytes, asks: bool = False) -> None:
        self.key = key
        self._asks = asks
        #: The last session that left the line had ended by a guess.
        self.guessed = False
        #: An end without opening waits for a store's word.
        self.wants_lookup = False
        self.sensor = ""
        #: Offset of the oldest record that still waits for its partner.
        self.held: int | None = None
        self._device = len(msgspec.json.decode(key, type=list[str])) == 1
        self._marks: list[Mark] = []
        self._published: dict[str, Session] = {}
        self._cursor: dict[str, int] = {}
        #: Session id → attributes that an API gave it.
        self._attributes: dict[str, dict[str, str]] = {}
        self._interim = 0
        #: The last session is a flow that is over: a store knows it, and what is logged late asks there.
        self._over = False

    def restore(self, stored: list[Session]) -> None:
        """Go on from sessions that a store kept."""
        for session in sorted(stored, key=lambda one: one.started_at or one.last_activity_at):
            self.sensor = self.sensor or session.sensor
            self._published[session.session_id] = session
            for source, position in session.positions.items():
                self._cursor[source] = max(position, self._cursor.get(source, -1))
            if session.started_at is None and session.attributes:
                # Its mark is its closing record, which does not have them.
                self._attributes[session.session_id] = session.attributes
            self._marks.append(_mark_of(session))

    def resolve(self, found: list[Session]) -> None:
        """Take what a store knows of this key, and judge by it what still waits."""
        known = {mark.base.session_id for mark in self._marks if mark.base is not None} | self._published.keys()
        fresh = [one for one in found if one.session_id not in known]
        ended = {(one.ended_at, one.closed_by) for one in fresh if one.end_reason in EVIDENCE}
        for mark in self._marks:
            mark.looked_up = True
        known_ones = [one for one in self._published.values() if not amending.is_replaced(one)]
        in_time = sorted([*fresh, *known_ones], key=lambda one: one.started_at or one.last_activity_at)
        self._marks = [mark for mark in self._marks if not _is_in(mark, _before(in_time, mark.time), fresh, ended)]
        waiting, self._marks = self._marks, []
        self.restore(fresh)
        for mark in waiting:
            self._marks.insert(bisect_right(self._marks, mark.time, key=lambda one: one.time), mark)

    def is_empty(self) -> bool:
        return not self._marks

    def add(self, record: Connection, broker_time: int, offset: int) -> bool:
        """Put a record on the line; false when it had been there before."""
        self.sensor = self.sensor or record.sensor
        weight = self._new_events(record)
        if not weight:
            return False
        complete = record.action is Action.COMPLETE
        time = record.started if complete else record.first_time
        if time is None:
            time = record.time
        place = bisect_left(self._marks, time, key=lambda mark: mark.time)
        if place and self._marks[place - 1].takes(record):
            self._marks[place - 1].take(record, weight, broker_time)
            return True
        twin = None
        for mark in self._marks[place : bisect_right(self._marks, time, key=lambda mark: mark.time)]:
            if mark.base is None and mark.record is not None and mark.record.action is record.action:
                twin = mark
            elif mark.base is not None and record.action is Action.CONNECT:
                # The session began with this very record, or with one of the same time.
                mark.weight += weight
                if _naming(record) < (_is_plain(mark.base.connect_kind), mark.base.opened_by):
                    mark.base = msgspec.structs.replace(mark.base, connect_kind=record.kind, opened_by=record.record_id)
                return True
        if twin is not None and twin.record is not None and (complete or record.action in _ENDS):
            # Openers of equal time merge, and so do closers; New Device names the kind.
            if _naming(record) < _naming(twin.record):
                twin.record = record
            twin.weight += weight
            twin.broker_time = max(twin.broker_time, broker_time)
            return True
        ended = self._ended_by(record)
        if ended is not None:
            ended.weight += weight
            return True
        mark = Mark(time, record, None, broker_time, offset)
        mark.weight = weight
        self._marks.insert(bisect_right(self._marks, time, key=lambda one: one.time), mark)
        return True

    def versions(self, limits: Limits, boots: Boots, watermark: int, time: int, counters: Counters) -> list[Session]:
        """Pair the line and return what differs from what was published. ``time`` caused the change."""
        line = self._paired(self._marks, limits, boots, watermark)
        self.wants_lookup = line.wants_lookup
        last = line.sessions[-1] if line.sessions else None
        self._over = self._asks and last is not None and last.end_reason is EndReason.COMPLETE
        # What is published says itself what was read; only a key with nothing published must be read again.
        waiting = () if line.sessions else line.waiting
        self.held = min((mark.offset for mark in waiting if not mark.looked_up), default=None)
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
                flags = [*known.flags, amending.REPLACED]
                gone = msgspec.structs.replace(known, removed=True, flags=flags, version=known.version + 1)
                gone.revision = next_revision(gone, time, 1)
                changed.append(gone)
        changed.extend(self._interim_version(line, limits, watermark, changed))
        for session in changed:
            self._published[session.session_id] = session
        return changed

    def write(self, write: Write, stored: list[Session]) -> list[Session]:
        """Apply a record of an API to the session it names, or to all that the device had by then; new versions."""
        changed = []
        record = write.record
        for session in self._published.values():
            if amending.is_replaced(session):
                continue
            wanted = (
                session.session_id == record.session_id
                if record.session_id
                else not session.removed and may_remove(write, session, [*stored, *self._published.values()])
            )
            version = msgspec.structs.replace(session)
            if wanted and amending.write(version, record, write.broker_time):
                changed.append(version)
                if record.attributes:
                    given = self._attributes.get(session.session_id, {})
                    self._attributes[session.session_id] = {**given, **record.attributes}
        for version in changed:
            self._published[version.session_id] = version
        return changed

    def has(self, session_id: str) -> bool:
        """Whether this session is among those it judges."""
        known = self._published.get(session_id)
        return known is not None and not amending.is_replaced(known)

    def may_leave(self) -> bool:
        """Whether a store has all of it: nothing waits for a partner or for grace."""
        return self.held is None and not self.wants_lookup and not any(one.held for one in self._published.values())

    def evicted(self) -> list[Session]:
        """The versions by which it leaves memory: what is open is closed, but for a device's session, which a store
        keeps open."""
        versions = []
        for session in self._published.values():
            if session.state is State.OPEN and not self._device and not amending.is_replaced(session):
                version = msgspec.structs.replace(session, version=session.version + 1)
                close(version, EndReason.EVICTED, session.last_activity_at)
                version.revision = next_revision(version, session.last_activity_at)
                versions.append(version)
        return versions

    def settle(self, watermark: int, now: int, limits: Limits) -> None:
        """Take marks off the line whose grace is over in event time and in processing time.

        Twice grace: what belongs to an end may happen a grace after it, and come a grace late.
        """
        cut = 0
        for mark in self._marks:
            early = mark.time + 2 * limits.grace > watermark and not self._over
            if self.wants_lookup or early or mark.broker_time + limits.keep > now:
                break
            cut += 1
        if len(self._marks) > _MAX_MARKS:
            cut = max(cut, len(self._marks) - _MAX_MARKS // 2)
        while 0 < cut < len(self._marks) and self._marks[cut].time == self._marks[cut - 1].time:
            cut -= 1
        if cut == 0:
            return
        rest = self._marks[cut:]
        # What is open at the cut may end beyond it: only a line that ends here is judged by the watermark.
        line = self._paired(self._marks[:cut], limits, _NO_BOOTS, 0 if rest else watermark)
        last = line.sessions[-1] if line.sessions else None
        # A flow that is over stays for as long as something it may have to take stands behind it.
        needed = bool(rest) and last is not None and last.end_reason is EndReason.COMPLETE
        if last is not None and not needed and (last.started_at is None or not self._keeps(last, limits, watermark)):
            self.guessed = last.end_reason in GUESSES or last.end_reason is EndReason.COMPLETE
            last = None
        for session in line.sessions:
            if session is not last:
                self._published.pop(session.session_id, None)
        # Those that a record still on the line may bring back keep their revision.
        settled = rest[0].time if rest else watermark
        for known in [one for one in self._published.values() if amending.is_replaced(one)]:
            if (known.last_activity_at if known.started_at is None else known.started_at) < settled:
                del self._published[known.session_id]
        for session_id in self._attributes.keys() - self._published.keys():
            del self._attributes[session_id]
        if last is not None and last.started_at is not None:
            rest.insert(0, Mark(last.started_at, None, last, last.created_at, -1))
        self._marks = rest

    def deadline(self, limits: Limits) -> int | None:
        """Watermark at which something may be due; None when nothing ever is."""
        due = [mark.time + 2 * limits.grace for mark in self._marks if mark.base is None]
        due += [
            mark.time + limits.grace for mark in self._marks if self._asks and not mark.looked_up and not mark.opens
        ]
        if self._over:
            due += [mark.broker_time + limits.keep for mark in self._marks[-1:]]
        due += [one.last_activity_at + limits.grace for one in self._published.values() if one.held]
        for session in self._published.values():
            if session.state is State.OPEN and not amending.is_replaced(session):
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

    def _paired(self, marks: list[Mark], limits: Limits, boots: Boots, watermark: int) -> Line:
        line = Line(self.key, self._device, limits, boots, watermark, self._asks)
        line.run(marks)
        for session in line.sessions:
            known = self._published.get(session.session_id) or self._former(session)
            if known is not None:
                amending.carry(known, session)
                if given := self._attributes.get(known.session_id):
                    session.attributes = {**session.attributes, **given}
        return line

    def _former(self, session: Session) -> Session | None:
        """What an API changed under another id, when the opening moved: a session that is removed stays so."""
        start = session.started_at
        if start is None:
            return None
        return next(
            (
                one
                for one in self._published.values()
                if one.requests
                and one.started_at is not None
                and start < one.started_at
                and (session.ended_at is None or one.started_at <= session.ended_at)
            ),
            None,
        )

    def _ended_by(self, record: Connection) -> Mark | None:
        """The settled session that a closing of this time has already ended."""
        if record.action is not Action.DISCONNECT:
            return None
        return next(
            (
                mark
                for mark in self._marks
                if mark.base is not None and mark.base.end_reason in EVIDENCE and mark.base.ended_at == record.time
            ),
            None,
        )

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

    def _interim_version(self, line: Line, limits: Limits, watermark: int, changed: list[Session]) -> list[Session]:
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


def _mark_of(session: Session) -> Mark:
    """A stored session back on its line: one that began as a base, an orphan as the closing it was made of."""
    if session.started_at is not None:
        return Mark(session.started_at, None, session, session.created_at, -1)
    closing = Connection(
        action=Action.DISCONNECT,
        sensor=session.sensor,
        time=session.last_activity_at,
        kind=session.disconnect_kind,
        record_id=session.closed_by,
        **facts_of(session),
    )
    mark = Mark(session.last_activity_at, closing, None, session.created_at, -1)
    mark.weight = session.event_count
    return mark


def _before(in_time: list[Session], time: int) -> Session | None:
    """The session that began last by then."""
    place = bisect_right(in_time, time, key=lambda one: one.started_at or one.last_activity_at)
    return in_time[place - 1] if place else None


def _is_in(mark: Mark, before: Session | None, stored: list[Session], ended: set[tuple[int | None, str]]) -> bool:
    """Whether a stored session has this mark already: as its end, or as activity it counted."""
    record = mark.record
    if record is None or record.action is Action.CONNECT:
        return False
    if mark.closes:
        return (mark.time, record.record_id) in ended
    # Its positions are those of the key: they tell only of what fell to it.
    if before is None or not record.positions or all(one is not before for one in stored):
        return False
    return record.positions[-1] <= before.positions.get(record.source, -1)


def _naming(record: Connection) -> tuple[bool, str]:
    """Order in which merged records name their session: New Device first, then any fixed order."""
    return _is_plain(record.kind), record.record_id


def _is_plain(kind: str) -> bool:
    return kind.lower() not in ("new device", "device.new")


def _cause(session: Session, line: Line, time: int) -> int:
    """Event time of a version: its record's, or the deadline that closed it."""
    return line.decided_at if session is line.current and session.state is State.CLOSED else time


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
