"""Sessions with the sensor's own id: it names one session for ever, so every record merges into that one session.

Merging does not depend on the order of arrival. Source: session-semantics; hard-questions, "One sensor id, several
sessions?" and "How long closed keys are kept".
"""

from collections.abc import Mapping
from heapq import nsmallest
from itertools import islice

import msgspec

from schemas.metrics import Counters
from schemas.records import Action, Connection, EndReason, Session, State
from stream_processors.machine import amending
from stream_processors.machine.boots import Boots
from stream_processors.machine.deadlines import Deadlines
from stream_processors.machine.endings import EVIDENCE, GUESSES, LIMITS, close, reopen, reported_end, restarted_at
from stream_processors.machine.forgotten import MASK, Forgotten
from stream_processors.machine.held import HeldOffsets
from stream_processors.machine.limits import Limits
from stream_processors.machine.lookups import Lookups
from stream_processors.machine.merging import count, identify, names_more, says_more
from stream_processors.machine.questions import Questions, Waiting, waiting_of
from stream_processors.machine.revisions import next_revision
from stream_processors.machine.session_memory import SessionMemory, Version, is_closed
from stream_processors.machine.stored_session import StoredSession
from stream_processors.machine.watermarks import SensorWatermarks

# A member of an enumeration costs 65 ns to look up by its name, a tenth of decoding a record.
_ACTIVITY, _CONNECT, _DISCONNECT = Action.ACTIVITY, Action.CONNECT, Action.DISCONNECT
_AMEND, _COMPLETE, _REMOVE = Action.AMEND, Action.COMPLETE, Action.REMOVE
_OPEN = State.OPEN
_NONE, _ENDED = EndReason.NONE, EndReason.DISCONNECT
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Session).decode

#: Records kept of one session that waits; more of them are only merged.
_MOST_WAITING = 256


class IdentifiedSessions:
    """State of one partition for keys that are (sensor, session id)."""

    def __init__(
        self,
        limits: Limits,
        counters: Counters,
        held: HeldOffsets,
        lookups: Lookups,
        watermarks: SensorWatermarks,
        boots: Boots,
        forgotten: Forgotten,
    ) -> None:
        self.limits = limits
        self.counters = counters
        self.now = 0
        self._held = held
        self._lookups = lookups
        self._watermarks = watermarks
        self._boots = boots
        self._forgotten = forgotten
        self._questions = Questions(held, lookups, forgotten)
        self._asked = self._questions.open
        #: Records of sessions that nothing has opened yet, to be applied again on what a store knows.
        self._waiting: dict[bytes, list[Waiting]] = {}
        #: Key that a store has just been asked about.
        self._told = b""
        self._deadlines = Deadlines(limits, boots)
        self.memory = SessionMemory(limits, counters, self._deadlines, watermarks, forgotten, self._asked)

    @property
    def waiting(self) -> int:
        """Records that wait for what a store knows of their key."""
        return self._questions.count

    def restore(self, key: bytes, session: Session | StoredSession, value: bytes = b"") -> None:
        """Take back a session from a store; ``value``: all of it as JSON, where ``session`` has not all of it."""
        if value and session.state is _OPEN and not session.held:
            # Perhaps a million of them.
            self.memory.asleep[key] = value
            self.memory.count_reopened()
            self._deadlines.schedule(key, session)
            return
        if isinstance(session, Session):
            value = _encode(session)
        if session.end_reason in EVIDENCE:
            self.memory.keep_closed(key, value)
            return
        if session.end_reason is EndReason.SENSOR_RESTART:
            self._boots.add(session.sensor, restarted_at(session))
            self.memory.times_moved()
        if session.held:
            self.memory.objects[key] = _decode(value)
        else:
            self.memory.asleep[key] = value
        if session.state is _OPEN:
            self.memory.count_reopened()
        else:
            self._deadlines.guessed(key, session.modified_at)
            self.memory.keep_for_late(key)
        self._deadlines.schedule(key, session)

    def apply(self, key: bytes, record: Connection, broker_time: int, offset: int, ends: bool = False) -> bool:
        """Merge one record; false when it had been applied before. ``ends``: its session's end comes right behind."""
        action = record.action
        begun = self.memory.begun.pop(key, None)
        if begun is not None:
            session: Session | None = self.memory.begin(key, *begun)
        elif (session := self.memory.find(key)) is None:
            if self._asked and key in self._asked:
                return self._questions.ask(key, record, broker_time, offset)
            places = self._forgotten.places
            if places and places[hash(key) & MASK] and self._must_ask(key, record, broker_time, offset):
                return True
            if action is _CONNECT:
                self._begin(key, record, broker_time, ends)
                return True
        if action is _AMEND or action is _REMOVE:
            return self._write(key, session, record, broker_time, offset)
        if session is None:
            session = self._await(key, record, broker_time, offset)
        elif not count(session, record):
            self.counters.add("connections_repeated_total")
            return False
        else:
            if names_more(session, record) or says_more(record):
                identify(session, record)
            if broker_time > session.modified_at:
                session.modified_at = broker_time
        self.memory.applied += 1
        if action is _DISCONNECT:
            self._disconnect(key, session, record)
        elif action is _CONNECT or (record.opens and action is _ACTIVITY):
            self._connect(key, session, record, broker_time)
        else:
            self._sign_of_life(key, session, record)
        session.version += 1
        session.revision = next_revision(session, record.time)
        floor = self._held.holds(key)
        if floor or session.held:
            waiting = self._waiting.setdefault(key, [])
            if len(waiting) < _MOST_WAITING:
                waiting.append((record, broker_time, offset))
        if not floor:
            self.memory.changed[key] = session
            if not ends:
                self._judge(key, session)
        return True

    def resolve(self, key: bytes, found: Session | None) -> None:
        """Go on from what a store knows of a session that waits for its opening; None: nothing is known."""
        asked = self._questions.answered(key)
        if asked is not None:
            if found is not None and not found.held:
                self.restore(key, found)
            self._go_on(key, asked)
            return
        session = self.memory.objects.get(key)
        if session is None or not (session.held or self._held.holds(key)):
            return
        if found is None or found.held:
            self._give_up_waiting(key, session)
            return
        waiting = self._waiting.pop(key, []) or waiting_of(session)
        self._held.release(key)
        self._deadlines.cancel(key)
        self.memory.changed.pop(key, None)
        self.memory.objects.pop(key, None)
        self.memory.asleep.pop(key, None)
        self.restore(key, found)
        self._go_on(key, waiting)

    def judge(self, key: bytes) -> None:
        """End what an answer brought back if it was due before the answer came: no record may have changed it."""
        session = self.memory.wake(key) if key in self.memory.asleep else self.memory.objects.get(key)
        if session is not None and not self._held.holds(key):
            self._judge(key, session)

    def _go_on(self, key: bytes, waiting: list[Waiting]) -> None:
        """Apply what waited for an answer; nobody is asked again."""
        self._told = key
        if key in self.memory.objects or key in self.memory.asleep:
            self._deadlines.guessed(key, self.now)
        for record, broker_time, offset in waiting:
            if record.action is _COMPLETE:
                self.complete(key, record, broker_time, offset)
            else:
                self.apply(key, record, broker_time, offset)
        self._told = b""

    def _must_ask(self, key: bytes, record: Connection, broker_time: int, offset: int) -> bool:
        """A record of a session that memory may have forgotten waits for what a store has of it."""
        if key == self._told or not self._questions.is_forgotten(key):
            return False
        return self._questions.ask(key, record, broker_time, offset)

    def _write(self, key: bytes, session: Session | None, record: Connection, broker_time: int, offset: int) -> bool:
        """An API's record. What memory does not know is asked for at once, and given up when nobody knows it."""
        if session is None:
            if key == self._told or not self._questions.ask(key, record, broker_time, offset):
                self.counters.add("writes_unmatched_total")
            return False
        if not amending.write(session, record, broker_time):
            self.counters.add("connections_repeated_total")
            return False
        self.memory.applied += 1
        floor = self._held.holds(key)
        if floor or session.held:
            # It waits for its opening, though the API saw a session: the store has it.
            self._waiting.setdefault(key, []).append((record, broker_time, offset))
            self._lookups.ask(key)
        if not floor:
            self.memory.changed[key] = session
        return True

    def complete(self, key: bytes, record: Connection, broker_time: int, offset: int) -> None:
        """Start and end in one record, counted as one event. ``record.key``: its key, if that is not made of its id."""
        if not self.memory.knows(key):
            asked = key in self._asked and self._questions.ask(key, record, broker_time, offset)
            if asked or self._must_ask(key, record, broker_time, offset):
                return
        ended_at, kind = record.ended if record.ended is not None else record.time, record.disconnect_kind
        record.action = _CONNECT
        record.time = record.started if record.started is not None else record.time
        if self.apply(key, record, broker_time, offset, ends=True):
            record.time, record.kind = ended_at, kind
            session = self.memory.objects[key]
            if record.key:
                session.key = record.key
            self._disconnect(key, session, record)
            session.end_reason = EndReason.COMPLETE
            session.revision = next_revision(session, ended_at, 0)

    def take_versions(self) -> list[Version]:
        """Latest version of every session that changed."""
        self._evict_surplus()
        return self.memory.take_versions()

    def _begin(self, key: bytes, record: Connection, broker_time: int, ends: bool) -> None:
        """Nothing is known of this session, and it begins."""
        session = self.memory.begin(key, record, broker_time)
        if says_more(record):
            identify(session, record)
        if not ends:
            self._judge(key, session)
        self._evict_surplus()

    def _began(self, session: Session) -> None:
        self.memory.count_opened()
        self._evict_surplus()

    def _await(self, key: bytes, record: Connection, broker_time: int, offset: int) -> Session:
        """Something about a session that nothing has opened yet: wait for its opening, unpublished, for grace."""
        session = Session(
            session_id=record.session_id,
            sensor=record.sensor,
            key=key.decode(),
            # Facts are no sign of life, whichever comes first.
            last_activity_at=record.time if record.action in (Action.ACTIVITY, Action.DISCONNECT) else 0,
            created_at=broker_time,
            modified_at=broker_time,
        )
        identify(session, record)
        count(session, record)
        self.memory.objects[key] = session
        if record.action is _ACTIVITY and record.opens:
            session.started_at = record.time if record.first_time is None else record.first_time
            session.opened_by = record.record_id
            self._began(session)
        else:
            # A closing is published at once, hidden; anything less is read again after a crash.
            session.held = record.action is _DISCONNECT
            if not session.held:
                self._held.hold(key, offset, broker_time)
                self._deadlines.wait_grace(key, session.sensor, record.time)
        return session

    def _connect(self, key: bytes, session: Session, record: Connection, broker_time: int) -> None:
        """An opening, or activity of a format in which any event is one: the earliest that is known began it."""
        ended_at = reported_end(session)
        is_activity = record.action is _ACTIVITY
        began = record.first_time if is_activity and record.first_time is not None else record.time
        if session.started_at is None:
            was_public = not (self._held.release(key) or session.held)
            session.held = False
            self._waiting.pop(key, None)
            reopen(session)
            session.started_at = began
            session.opened_by = record.record_id
            session.connect_kind = record.kind
            session.created_at = broker_time
            self._began(session)
            if ended_at is not None:
                # Its disconnect came first.
                if was_public:
                    self.counters.add("session_corrected_total")
                self._close(key, session, _ENDED, ended_at)
        elif (began, record.record_id) < (session.started_at, session.opened_by):
            # Two openings under one id: the earliest start stands; of one time, any order that is always the same.
            session.started_at = began
            session.opened_by = record.record_id
            session.connect_kind = record.kind or session.connect_kind
            if ended_at is not None:
                close(session, session.end_reason, ended_at)
        elif not is_activity:
            self.counters.add("connections_repeated_total")
        self._sign_of_life(key, session, record)

    def _disconnect(self, key: bytes, session: Session, record: Connection) -> None:
        time = record.time
        if time > session.last_activity_at:
            session.last_activity_at = time
        if record.kind:
            session.disconnect_kind = record.kind
        reason = session.end_reason
        start = session.started_at
        if start is None:
            # An orphan, unless its connect comes; of two disconnects the later counts.
            if self._held.release(key):
                session.held = True
            if session.ended_at is None or _ends_later(record, session.ended_at, session.closed_by):
                session.closed_by = record.record_id
                close(session, EndReason.ORPHAN, time)
        elif reason in EVIDENCE:
            self.counters.add("connections_repeated_total")
            known = reported_end(session)
            if known is None or _ends_later(record, known, session.closed_by):
                session.closed_by = record.record_id
                close(session, reason, time)
        else:
            if reason is not _NONE:
                self.counters.add("session_corrected_total")
            session.closed_by = record.record_id
            self._close(key, session, _ENDED, time)

    def _sign_of_life(self, key: bytes, session: Session, record: Connection) -> None:
        """Activity, late facts, a repeated connect: renew, and take a guessed ending back."""
        if record.action is not _ACTIVITY and record.action is not _CONNECT:
            return
        session.last_activity_at = max(session.last_activity_at, record.last_time or record.time)
        if session.end_reason in GUESSES:
            reopen(session)
            self.memory.count_reopened()
            self.counters.add("session_corrected_total")

    def _close(self, key: bytes, session: Session, reason: EndReason, ended_at: int) -> None:
        if session.end_reason is _NONE:
            self.memory.count_closed()
        close(session, reason, ended_at)
        if reason not in EVIDENCE:
            self.memory.keep_for_late(key)

    def set_timers(self, watermarks: Mapping[str, int]) -> None:
        """Before ``expire`` for these sensors: what has changed since the versions were last taken has no timer yet."""
        self.memory.times_moved()
        for key, session in self.memory.changed.items():
            if session.sensor in watermarks and session.end_reason not in EVIDENCE:
                self._deadlines.schedule(key, session)
        late = [
            (key, *begun)
            for key, begun in self.memory.begun.items()
            if self._deadlines.may_be_over(begun[0].sensor, begun[0].time, watermarks.get(begun[0].sensor, 0))
        ]
        for key, record, broker_time in late:
            del self.memory.begun[key]
            self._deadlines.schedule(key, self.memory.begin(key, record, broker_time))

    def expire(self, sensor: str, watermark: int) -> None:
        """Do what is due for the sessions of ``sensor`` at ``watermark`` (microseconds UTC)."""
        for key in self._deadlines.due(sensor, watermark):
            value = self.memory.asleep.get(key, b"")
            if is_closed(value):
                if self._deadlines.is_kept(key, self.now):
                    # Event time runs ahead of processing in an import: look again a little later.
                    self._deadlines.look_again(key, sensor, watermark)
                else:
                    self.memory.forget(key)
            elif value:
                self._expire_open(key, self.memory.wake(key), watermark)
            elif (session := self.memory.objects.get(key)) is not None:
                if session.held or self._held.holds(key):
                    self.stop_waiting(key)
                elif session.state is _OPEN:
                    self._expire_open(key, session, watermark)
                else:
                    self._deadlines.look_again(key, sensor, watermark)

    def stop_waiting(self, key: bytes) -> None:
        """Grace is over for a session that nothing has opened: ask the store, or give it up."""
        session = self.memory.objects.get(key)
        if session is not None and not self._lookups.ask(key):
            self._give_up_waiting(key, session)

    def _expire_open(self, key: bytes, session: Session, watermark: int) -> None:
        end = self._deadlines.end_at(session, watermark)
        if end is not None:
            self._guess(key, session, end)
        elif (interim := self._deadlines.take_interim(key, session, watermark)) is not None:
            session.revision = next_revision(session, interim, 0)
            self.memory.changed[key] = session
        self._deadlines.schedule(key, session)

    def _guess(self, key: bytes, session: Session, end: tuple[int, EndReason]) -> None:
        deadline, reason = end
        # Before the first tick only records say how late it is.
        self._deadlines.guessed(key, max(self.now, session.modified_at))
        self._close(key, session, reason, session.last_activity_at)
        session.revision = next_revision(session, deadline)
        self.memory.changed[key] = session

    def _give_up_waiting(self, key: bytes, session: Session) -> None:
        self._waiting.pop(key, None)
        if self._held.release(key):
            # Activity or facts of a session that nobody opened: stored as events, they open nothing.
            self.memory.drop(key)
            return
        session.held = False
        session.revision = next_revision(session, session.last_activity_at + self.limits.grace)
        self._deadlines.guessed(key, self.now)
        self.counters.add("sessions_orphaned_total")
        self.memory.changed[key] = session
        self.memory.keep_for_late(key)

    def _evict_surplus(self) -> None:
        """More open sessions than the limit: close the longest idle ones, one in a hundred at once."""
        surplus = self.memory.opened - self.limits.max_open
        if surplus <= 0:
            return
        self.memory.settle_all()
        surplus = max(surplus, self.limits.max_open // 100)
        idle = list(islice((key for key, value in self.memory.asleep.items() if not is_closed(value)), surplus))
        for key in idle:
            self.memory.wake(key)
        opened = (
            item for item in self.memory.objects.items() if item[1].state is _OPEN and not self._held.holds(item[0])
        )
        for key, session in nsmallest(surplus, opened, key=lambda item: item[1].last_activity_at):
            self.counters.add("sessions_evicted_total")
            self._guess(key, session, (session.last_activity_at, EndReason.EVICTED))

    def sensor_started(self, sensor: str) -> None:
        """A restart of this sensor has become known: end what it ended."""
        self.memory.times_moved()
        self.memory.settle_all()
        begins = _encode((sensor,))[:-1] + b","
        # Those that were taken for idle, too: the restart may have come before that. All before the first is judged:
        # its end may let go of another.
        for key in [key for key in self.memory.asleep if key.startswith(begins)]:
            self.memory.wake(key)
        for key, session in list(self.memory.objects.items()):
            if session.sensor == sensor and not self._held.holds(key):
                self._judge(key, session)

    def _judge(self, key: bytes, session: Session) -> None:
        """Do at once what was due before the session came to be as it is: its sensor may never speak again."""
        if session.end_reason in EVIDENCE:
            return
        sensor, start = session.sensor, session.started_at
        watermark = self._watermarks.of(sensor)
        # Most sessions began just now, as their sensor sees it.
        if self._deadlines.may_be_over(sensor, session.last_activity_at if start is None else start, watermark):
            if session.held:
                if watermark >= session.last_activity_at + self.limits.grace:
                    self.stop_waiting(key)
            elif (end := self._deadlines.end_at(session, watermark)) is not None and (
                session.state is _OPEN or (end[1] is EndReason.SENSOR_RESTART and session.end_reason in LIMITS)
            ):
                self._guess(key, session, end)


def _ends_later(record: Connection, ended_at: int, closed_by: str) -> bool:
    """Of two closings the later counts; of one time, any order that is always the same."""
    return record.time > ended_at or (record.time == ended_at and record.record_id < closed_by)
