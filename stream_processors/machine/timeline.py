"""The time line of one key without an id: which records make which sessions, by event time alone.

Source: session-semantics, "Device pairing" and the rules for supersede and orphan.
"""

from itertools import groupby
from uuid import UUID, uuid5

import msgspec

from schemas.records import FLOW_LOGGED_LATE, Action, Connection, EndReason, Session, State
from stream_processors.machine.boots import Boots
from stream_processors.machine.endings import EVIDENCE, close, due_end, reopen
from stream_processors.machine.limits import Limits
from stream_processors.machine.marks import Mark, may_open, precedence
from stream_processors.machine.merging import facts_of, identify

#: Label of the end that no event was seen for (NetAlertX facts 2.1).
MISSING = "<missing event>"

#: Flag of a session of a flow that no record has named the start of: it began at the first that is known.
START_GUESSED = "start_guessed"
_NEVER = 1 << 62
_NAMESPACE = UUID("5c1a1f0e-7d2b-5d0a-9f53-0b6e4c0d7a11")


def opened_id(key: bytes, time: int) -> str:
    """Id of the session of ``key`` that began at ``time``: the same after every replay."""
    return str(uuid5(_NAMESPACE, f"{key.decode()}@{time}"))


def recorded_id(record_id: str) -> str:
    """Id of the session that one record is all of."""
    return str(uuid5(_NAMESPACE, f"record@{record_id}"))


def _orphan_id(key: bytes, time: int) -> str:
    return str(uuid5(_NAMESPACE, f"{key.decode()}@end@{time}"))


class Line:
    """Pairs the marks of one key, in order of event time."""

    def __init__(
        self, key: bytes, device: bool, limits: Limits, boots: Boots, watermark: int, asks: bool = False
    ) -> None:
        self.key = key
        self.device = device
        self.limits = limits
        self.boots = boots
        self.watermark = watermark
        self.sessions: list[Session] = []
        self.current: Session | None = None
        #: Activity and late facts that no session of the line is there for.
        self.waiting: list[Mark] = []
        #: An end without opening is an orphan only when a store knows no opening either.
        self.asks = asks
        self.wants_lookup = False
        #: Deadline that closed what the line had left open.
        self.decided_at = 0

    def run(self, marks: list[Mark]) -> None:
        for time, group in groupby(marks, key=lambda mark: mark.time):
            openers: list[Mark] = []
            closers: list[Mark] = []
            starters: list[Mark] = []
            others: list[Mark] = []
            for mark in group:
                kind = openers if mark.opens else closers if mark.closes else starters if mark.starts else others
                kind.append(mark)
            current = self.current
            if closers and current is not None and (current.started_at is None or current.started_at < time):
                self._end(current, closers.pop(0))
            if self.device:
                # A device's closing pairs with what opened strictly earlier, or with nothing.
                while closers:
                    self._orphan(closers.pop(0))
            for mark in openers:
                self._open(mark)
            for mark in sorted(starters, key=precedence):
                self._start(mark)
            if closers and self.current is None and not self.device:
                # Where any event opens, one at the time of the closing came before it.
                first = next((mark for mark in others if may_open(mark)), None)
                if first is not None:
                    others.remove(first)
                    self._touch(first)
            for mark in closers:
                if self.current is not None:
                    # Connect and disconnect of a connection at one time: a session of no length.
                    self._end(self.current, mark)
                else:
                    self._orphan(mark)
            for mark in others:
                self._touch(mark)
        if self.current is not None:
            self._judge_open(self.current)

    def idle_of(self, session: Session) -> int:
        return self.limits.idle_device if self.device else self.limits.idle_of(session.protocol)

    def _open(self, mark: Mark) -> None:
        if mark.base is not None and START_GUESSED in mark.base.flags:
            flow = self._going_on(mark.time)
            if flow is not None:
                self._absorb(flow, mark.base, mark.weight)
                return
        current = self.current
        if current is not None:
            self._supersede(current, mark.time)
        session = self._begun(mark)
        self.sessions.append(session)
        if session.end_reason in EVIDENCE:
            self.current = None
            return
        # However it was thought to have ended: the line says it anew.
        if session.state is State.CLOSED:
            reopen(session)
            session.disconnect_kind = ""
        self.current = session

    def _start(self, mark: Mark) -> None:
        """A flow that began just now, by one of the records that know it: all of these are one session."""
        record = mark.record
        assert record is not None
        session = self.sessions[-1] if self.sessions else None
        if session is None or session.started_at != mark.time:
            if self.current is not None:
                self._supersede(self.current, mark.time)
            session = self._begun(mark)
            self.sessions.append(session)
        else:
            self._apply(session, mark)
        if record.action is Action.COMPLETE:
            end = record.time if record.ended is None else record.ended
            session.disconnect_kind = record.disconnect_kind
            session.opened_by = session.closed_by = record.record_id
            session.last_activity_at = end
            close(session, EndReason.COMPLETE, end)
            self.current = None
        elif session.end_reason not in EVIDENCE:
            session.last_activity_at = max(session.last_activity_at, record.last_time or record.time)
            self.current = session

    def _absorb(self, flow: Session, part: Session, weight: int) -> None:
        """A session that was begun by a record that did not know the start of its flow turns out to be part of it."""
        said = Connection(action=Action.ACTIVITY, sensor=part.sensor, time=part.last_activity_at, **facts_of(part))
        identify(flow, said)
        flow.event_count += part.event_count + weight
        flow.version += part.version
        flow.modified_at = max(flow.modified_at, part.modified_at)
        if flow is self.current:
            flow.last_activity_at = max(flow.last_activity_at, part.last_activity_at)

    def _begun(self, mark: Mark) -> Session:
        if mark.base is not None:
            base = msgspec.structs.replace(mark.base, attributes=dict(mark.base.attributes))
            base.event_count += mark.weight
            return base
        assert mark.record is not None
        record = mark.record
        session = Session(
            session_id=record.session_id or opened_id(self.key, mark.time),
            sensor=record.sensor,
            key=self.key.decode(),
            started_at=mark.time,
            last_activity_at=max(mark.time, record.last_time or 0),
            connect_kind=record.kind,
            opened_by=record.record_id,
            created_at=mark.broker_time,
            flags=[START_GUESSED] if record.session_id and not mark.starts else [],
        )
        self._apply(session, mark)
        return session

    def _supersede(self, session: Session, time: int) -> None:
        """A later opening while this one is open. By event time it may have ended before that, for another reason."""
        # One microsecond short of it: only a gap above the limit ended the session before the opening did.
        end = self._due_end(session, time - 1, until=time)
        self._guess(session, end[1] if end else EndReason.SUPERSEDED)
        self.current = None

    def _end(self, session: Session, mark: Mark) -> None:
        assert mark.record is not None
        self._apply(session, mark)
        session.disconnect_kind = mark.record.kind
        session.closed_by = mark.record.record_id
        session.last_activity_at = max(session.last_activity_at, mark.time)
        close(session, EndReason.DISCONNECT, mark.time)
        self.current = None

    def _orphan(self, mark: Mark) -> None:
        assert mark.record is not None
        unanswered = self._is_unanswered(mark)
        due = self.watermark >= mark.time + self.limits.grace
        session = Session(
            session_id=_orphan_id(self.key, mark.time),
            sensor=mark.record.sensor,
            key=self.key.decode(),
            last_activity_at=mark.time,
            connect_kind=MISSING if self.device else "",
            disconnect_kind=mark.record.kind,
            closed_by=mark.record.record_id,
            created_at=mark.broker_time,
            held=not due or unanswered,
        )
        self._apply(session, mark)
        close(session, EndReason.ORPHAN, mark.time)
        self.sessions.append(session)

    def _touch(self, mark: Mark) -> None:
        """Activity and late facts belong to the session that is open then, else to the one that has just ended."""
        assert mark.record is not None
        opens = may_open(mark)
        session = self._going_on(mark.time) if opens else self.current or self._just_ended(mark.time)
        if session is None:
            if opens:
                session = self.current = self._begun(mark)
                session.connect_kind = ""
                self.sessions.append(session)
            else:
                self._is_unanswered(mark)
                self.waiting.append(mark)
            return
        self._apply(session, mark)
        if session is self.current and mark.record.action is Action.ACTIVITY:
            session.last_activity_at = max(session.last_activity_at, mark.record.last_time or mark.time)

    def _going_on(self, time: int) -> Session | None:
        """The session that what opens sessions belongs to all the same; None when it begins one."""
        return None if self._lapse(time) else self.current or self._just_ended(time)

    def _lapse(self, time: int) -> bool:
        """Whether a silence before ``time`` has ended the open session: what opens sessions then begins another one."""
        session = self.current
        if session is None:
            return False
        end = self._due_end(session, time - 1, until=time)
        if end is None:
            return False
        self._guess(session, end[1])
        self.current = None
        return True

    def _is_unanswered(self, mark: Mark) -> bool:
        """Whether a store has still to be asked for the session of this mark; asked for once its grace is over."""
        unanswered = self.asks and not mark.looked_up
        self.wants_lookup |= unanswered and self.watermark >= mark.time + self.limits.grace
        return unanswered

    def _just_ended(self, time: int) -> Session | None:
        """The session that ended last, for as long as grace after its end; of a flow that is over, longer."""
        last = self.sessions[-1] if self.sessions else None
        if last is None or last.ended_at is None:
            return None
        grace = self.limits.grace
        if last.end_reason is EndReason.COMPLETE:
            grace = max(grace, FLOW_LOGGED_LATE)
        return last if time <= last.ended_at + grace else None

    def _apply(self, session: Session, mark: Mark) -> None:
        assert mark.record is not None
        identify(session, mark.record)
        session.event_count += mark.weight
        session.version += 1
        session.modified_at = max(session.modified_at, mark.broker_time)

    def _judge_open(self, session: Session) -> None:
        """Close what the line leaves open, when the sensor's event time or its restart says so."""
        end = self._due_end(session, self.watermark - self.limits.grace)
        if end is not None:
            self.decided_at, reason = end
            self._guess(session, reason)

    def _guess(self, session: Session, reason: EndReason) -> None:
        """No event says how it ended, only that it has."""
        close(session, reason, session.last_activity_at)
        if self.device:
            session.disconnect_kind = MISSING

    def _due_end(self, session: Session, reached: int, until: int = _NEVER) -> tuple[int, EndReason] | None:
        """``until``: a restart of the sensor that came later has not ended it."""
        boot = self.boots.after(session.sensor, session.last_activity_at)
        boot = boot if boot <= until else 0
        longest = 0 if self.device else self.limits.max_duration
        return due_end(session, self.idle_of(session), longest, boot, reached)
