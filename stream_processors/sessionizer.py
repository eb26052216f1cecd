"""The session machine: connection records in, versions of sessions out. Pure: no I/O, no clock, no Faust.

The same records give the same sessions whatever their order (within grace), however often one is repeated. Source:
session-semantics. Sessions with the sensor's own id are merged record by record here; sessions of keys without an id
depend on what lies between, and are paired in ``pairing.py``.
"""

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush, nsmallest

import msgspec

from schemas.metrics import Counters
from schemas.records import Action, Connection, EndReason, Session, State, Tick
from schemas.times import SECOND
from stream_processors.endings import EVIDENCE, GUESSES, close, reopen
from stream_processors.limits import Limits
from stream_processors.merging import count, identify
from stream_processors.pairing import KeyHistory, opened_id
from stream_processors.revisions import next_revision
from stream_processors.timers import Wheel
from stream_processors.watermarks import SensorWatermarks

_NEVER = 1 << 62
_decode_key = msgspec.json.Decoder(list[str]).decode


class _Entry:
    """A session with an id of the sensor's own, while it is in memory."""

    __slots__ = ("bucket", "held", "interim", "kept_from", "session")

    def __init__(self, session: Session, held: int) -> None:
        self.session = session
        #: Offset of the first record while nothing has opened the session yet and none of it is published; else -1.
        self.held = held
        self.bucket = -1
        #: Event time of the next interim version.
        self.interim = 0
        #: Processing time of a guessed close.
        self.kept_from = 0


class Sessionizer:
    """State of one partition of ``connections``.

    Feed it with ``apply`` and ``tick`` in the order of the partition, then publish ``take_changes``. Sessions taken are
    the machine's own objects: encode them before the next call.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.counters = Counters()
        self.watermarks = SensorWatermarks()
        self._entries: dict[bytes, _Entry] = {}
        self._histories: dict[bytes, KeyHistory] = {}
        self._wheels: dict[str, Wheel] = {}
        self._boots: dict[str, int] = {}
        self._changed: dict[bytes, Session] = {}
        self._versions: list[Session] = []
        #: Closed sessions with an id that wait for late records, oldest first.
        self._kept: deque[bytes] = deque()
        #: (offset, key) of records whose partner has not come; stale ones are dropped when they reach the top.
        self._held: list[tuple[int, bytes]] = []
        self._open = 0
        self._now = 0

    def __len__(self) -> int:
        """Sessions and keys in memory."""
        return len(self._entries) + len(self._histories)

    @property
    def open_sessions(self) -> int:
        """Sessions with an id that are open now."""
        return self._open

    @property
    def oldest_held(self) -> int | None:
        """Smallest offset of a record that still waits for its partner; a commit must not pass it."""
        held = self._held
        while held:
            offset, key = held[0]
            entry = self._entries.get(key)
            history = self._histories.get(key)
            if (entry is not None and entry.held == offset) or (history is not None and history.held == offset):
                return offset
            heappop(held)
        return None

    def apply(self, key: bytes, record: Connection, broker_time: int, offset: int = 0) -> None:
        """Take one record of the partition: its session key, broker time (microseconds UTC) and offset."""
        if broker_time > self._now:
            self._now = broker_time
        action = record.action
        if action is Action.SENSOR_START:
            self._sensor_started(record)
        elif action is Action.COMPLETE:
            self._complete(key, record, broker_time)
        elif record.session_id:
            self._apply_with_id(key, record, broker_time, offset)
        else:
            self._apply_paired(key, record, broker_time, offset)

    def tick(self, tick: Tick, broker_time: int) -> None:
        """Take how far a source partition has come, and close what is due by it."""
        if broker_time > self._now:
            self._now = broker_time
        for sensor, watermark in self.watermarks.apply(tick, broker_time).items():
            self._expire(sensor, watermark)

    def sweep(self, now: int) -> None:
        """Close what silent but live sensors left open; ``now`` is the wall clock (microseconds UTC)."""
        self._now = max(self._now, now)
        for sensor, watermark in self.watermarks.sweep(now, self.limits.sweep).items():
            self._expire(sensor, watermark)

    def take_changes(self) -> list[Session]:
        """The latest version of every session that changed since the last call."""
        changes = [*self._versions, *self._changed.values()]
        self._versions.clear()
        self._changed.clear()
        if changes:
            self.counters.add("sessions_published_total", len(changes))
        return changes

    def restore(self, sessions: Iterable[Session]) -> None:
        """Take back sessions from a store: the open ones, and closed ones that late records may still change."""
        paired: dict[bytes, list[Session]] = {}
        for session in sessions:
            key = session.key.encode()
            self.watermarks.seed(session.sensor, session.last_activity_at, session.modified_at)
            if len(_decode_key(key)) == 2:
                entry = self._entries[key] = _Entry(session, -1)
                entry.kept_from = session.modified_at
                if session.state is State.OPEN:
                    self._open += 1
                else:
                    self._keep(key)
                self._schedule(key, entry)
            else:
                paired.setdefault(key, []).append(session)
        for key, stored in paired.items():
            history = self._histories[key] = KeyHistory(key)
            history.restore(stored)
            self._schedule_history(key, history)

    def _apply_with_id(self, key: bytes, record: Connection, broker_time: int, offset: int) -> bool:
        """Merge one record; false when it had been applied before."""
        entry = self._entries.get(key)
        action = record.action
        if entry is None:
            entry = self._begin(key, record, broker_time, offset)
            session = entry.session
            count(session, record)
        else:
            session = entry.session
            if not count(session, record):
                self.counters.add("connections_repeated_total")
                return False
            identify(session, record)
            if broker_time > session.modified_at:
                session.modified_at = broker_time
        if action is Action.CONNECT:
            self._connect(entry, record, broker_time)
        elif action is Action.DISCONNECT:
            self._disconnect(entry, record)
        elif action is Action.REMOVE:
            session.removed = True
        else:
            self._sign_of_life(entry, record)
        self.counters.add("connections_applied_total")
        session.version += 1
        session.revision = next_revision(session, record.time)
        if entry.held >= 0:
            self._hold(key, entry, offset)
            return True
        self._changed[key] = session
        if session.end_reason in EVIDENCE:
            self._cancel(key, entry)
        elif entry.bucket < 0 or action is not Action.ACTIVITY:
            # Activity moves a deadline further away: the timer finds out when it fires.
            self._schedule(key, entry)
        return True

    def _begin(self, key: bytes, record: Connection, broker_time: int, offset: int) -> _Entry:
        opens = record.action is Action.CONNECT or (record.action is Action.ACTIVITY and record.opens)
        session = Session(
            session_id=record.session_id,
            sensor=record.sensor,
            key=key.decode(),
            last_activity_at=record.time,
            protocol=record.protocol,
            client_ip=record.client_ip,
            client_port=record.client_port,
            client_name=record.client_name,
            server_ip=record.server_ip,
            server_port=record.server_port,
            server_name=record.server_name,
            mac=record.mac,
            token=record.token,
            location=record.location,
            category=record.category,
            container_id=record.container_id,
            boot_id=record.boot_id,
            created_at=broker_time,
            modified_at=broker_time,
        )
        if record.user or record.attributes:
            identify(session, record)
        entry = self._entries[key] = _Entry(session, -1 if opens else offset)
        if opens and record.action is Action.ACTIVITY:
            self._start(entry, record, record.first_time or record.time)
        return entry

    def _start(self, entry: _Entry, record: Connection, time: int) -> None:
        session = entry.session
        session.started_at = time
        session.opened_by = record.record_id
        session.connect_kind = record.kind if record.action is Action.CONNECT else ""
        entry.interim = time + self.limits.interim
        entry.held = -1
        self._open += 1
        self.counters.add("sessions_opened_total")
        if self._open > self.limits.max_open:
            self._evict()

    def _connect(self, entry: _Entry, record: Connection, broker_time: int) -> None:
        session = entry.session
        if session.started_at is None:
            ended_at, was_orphan = session.ended_at, session.end_reason is EndReason.ORPHAN
            session.created_at = broker_time
            self._start(entry, record, record.time)
            if was_orphan and ended_at is not None:
                # Its disconnect came first.
                self._close(entry, EndReason.DISCONNECT, ended_at)
            else:
                self._restarted_since(entry)
        elif record.time == session.started_at or record.record_id == session.opened_by != "":
            self.counters.add("connections_repeated_total")
        elif record.time < session.started_at:
            session.started_at = record.time
            session.opened_by = record.record_id
            session.connect_kind = record.kind or session.connect_kind
            if session.ended_at is not None:
                close(session, session.end_reason, session.ended_at)
        self._sign_of_life(entry, record)

    def _disconnect(self, entry: _Entry, record: Connection) -> None:
        session = entry.session
        if record.time > session.last_activity_at:
            session.last_activity_at = record.time
        session.disconnect_kind = record.kind or session.disconnect_kind
        session.closed_by = record.record_id
        if session.started_at is None:
            # An orphan, unless its connect comes; of two disconnects the later counts.
            close(session, EndReason.ORPHAN, max(record.time, session.ended_at or record.time))
            return
        if session.end_reason in EVIDENCE:
            self.counters.add("connections_repeated_total")
            close(session, session.end_reason, max(record.time, session.ended_at or record.time))
            return
        if session.end_reason is not EndReason.NONE:
            self.counters.add("session_corrected_total")
        self._close(entry, EndReason.DISCONNECT, record.time)

    def _sign_of_life(self, entry: _Entry, record: Connection) -> None:
        """Activity, late facts, a repeated connect: renew, and take a guessed ending back."""
        session = entry.session
        time = record.last_time or record.time
        if record.action is Action.ACTIVITY or record.action is Action.CONNECT:
            session.last_activity_at = max(session.last_activity_at, time)
        if session.end_reason in GUESSES and record.action is not Action.ANNOTATE:
            reopen(session)
            self._open += 1
            self.counters.add("session_corrected_total")
            self._restarted_since(entry)

    def _close(self, entry: _Entry, reason: EndReason, ended_at: int) -> None:
        session = entry.session
        if session.end_reason is EndReason.NONE:
            self._open -= 1
            self.counters.add("sessions_closed_total")
        close(session, reason, ended_at)
        self._keep(session.key.encode())

    def _keep(self, key: bytes) -> None:
        """Remember a closed session for late records, and forget the oldest beyond the limit."""
        self._kept.append(key)
        while len(self._kept) > self.limits.max_kept:
            oldest = self._kept.popleft()
            entry = self._entries.get(oldest)
            if entry is not None and entry.held < 0 and entry.session.state is State.CLOSED:
                self._forget(oldest, entry)

    def _forget(self, key: bytes, entry: _Entry) -> None:
        self._cancel(key, entry)
        del self._entries[key]

    def _hold(self, key: bytes, entry: _Entry, offset: int) -> None:
        """Nothing has opened this session yet: wait for it, unpublished, until grace is over."""
        if entry.held == offset:
            heappush(self._held, (offset, key))
        self._cancel(key, entry)
        entry.bucket = self._wheel(entry.session.sensor).set(key, entry.session.last_activity_at + self.limits.grace)

    def _complete(self, key: bytes, record: Connection, broker_time: int) -> None:
        """Start and end in one record. Without an id of its own it takes no part in pairing."""
        started_at = record.time if record.started is None else record.started
        ended_at = record.time if record.ended is None else record.ended
        session_id = record.session_id
        if not session_id:
            session_id = opened_id(key, started_at)
            key = msgspec.json.encode((record.sensor, session_id))
        opening = msgspec.structs.replace(record, action=Action.CONNECT, time=started_at, session_id=session_id)
        if not self._apply_with_id(key, opening, broker_time, 0):
            return
        # Both ends are one stored event: the first half has counted it.
        closing = msgspec.structs.replace(opening, action=Action.DISCONNECT, time=ended_at, kind=record.disconnect_kind)
        entry = self._entries[key]
        self._disconnect(entry, closing)
        entry.session.end_reason = EndReason.COMPLETE
        entry.session.revision = next_revision(entry.session, ended_at, 0)
        self._cancel(key, entry)

    def _apply_paired(self, key: bytes, record: Connection, broker_time: int, offset: int) -> None:
        if not key:
            return
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = KeyHistory(key)
        if not history.add(record, broker_time, offset):
            self.counters.add("connections_repeated_total")
            return
        self.counters.add("connections_applied_total")
        self._pair(key, history, record.time)

    def _pair(self, key: bytes, history: KeyHistory, time: int) -> None:
        watermark = self.watermarks.of(history.sensor)
        versions = history.versions(self.limits, self._boots.get(history.sensor, 0), watermark, time, self.counters)
        self._versions.extend(versions)
        if history.held is not None:
            heappush(self._held, (history.held, key))
        history.settle(watermark, self._now, self.limits)
        if history.is_empty():
            self._cancel_history(history)
            del self._histories[key]
        else:
            self._schedule_history(key, history)

    def _wheel(self, sensor: str) -> Wheel:
        wheel = self._wheels.get(sensor)
        if wheel is None:
            wheel = self._wheels[sensor] = Wheel()
        return wheel

    def _cancel(self, key: bytes, entry: _Entry) -> None:
        if entry.bucket >= 0:
            self._wheel(entry.session.sensor).cancel(key, entry.bucket)
            entry.bucket = -1

    def _schedule(self, key: bytes, entry: _Entry) -> None:
        deadline = self._deadline(entry)
        if entry.bucket >= 0:
            if entry.bucket == -(-deadline // SECOND):
                return
            self._cancel(key, entry)
        if deadline < _NEVER:
            entry.bucket = self._wheel(entry.session.sensor).set(key, deadline)

    def _deadline(self, entry: _Entry) -> int:
        """Watermark at which something is due for this session."""
        session = entry.session
        idle, longest = self._idle_of(session), self._longest_of(session)
        if session.state is State.CLOSED:
            if session.end_reason in EVIDENCE:
                return _NEVER
            return session.last_activity_at + 2 * idle + self.limits.grace
        deadline = entry.interim if self.limits.interim else _NEVER
        if idle:
            deadline = min(deadline, session.last_activity_at + idle + self.limits.grace)
        if longest and session.started_at is not None:
            deadline = min(deadline, session.started_at + longest + self.limits.grace)
        return deadline

    def _idle_of(self, session: Session) -> int:
        if session.mac and not session.protocol:
            return self.limits.idle_device
        return self.limits.idle_of(session.protocol)

    def _longest_of(self, session: Session) -> int:
        return 0 if session.mac and not session.protocol else self.limits.max_duration

    def _expire(self, sensor: str, watermark: int) -> None:
        wheel = self._wheels.get(sensor)
        if wheel is None:
            return
        for key in wheel.due(watermark):
            entry = self._entries.get(key)
            if entry is not None:
                entry.bucket = -1
                self._expire_entry(key, entry, watermark)
                continue
            history = self._histories.get(key)
            if history is not None:
                history.bucket = -1
                self._pair(key, history, watermark)

    def _expire_entry(self, key: bytes, entry: _Entry, watermark: int) -> None:
        session, limits = entry.session, self.limits
        if entry.held >= 0:
            self._give_up_waiting(key, entry)
            return
        if session.state is State.CLOSED:
            if self._now - entry.kept_from >= limits.keep:
                self._forget(key, entry)
            else:
                # Event time runs ahead of processing in an import: look again one bucket later.
                entry.bucket = self._wheel(session.sensor).set(key, watermark + SECOND)
            return
        idle, longest = self._idle_of(session), self._longest_of(session)
        idle_at = session.last_activity_at + idle
        if idle and watermark >= idle_at + limits.grace:
            self._guess(key, entry, EndReason.IDLE_TIMEOUT, idle_at)
        elif longest and session.started_at is not None and watermark >= session.started_at + longest + limits.grace:
            self._guess(key, entry, EndReason.MAX_DURATION, session.started_at + longest)
        elif limits.interim and watermark >= entry.interim:
            session.revision = next_revision(session, entry.interim, 0)
            while entry.interim <= watermark:
                entry.interim += limits.interim
            self._changed[key] = session
        self._schedule(key, entry)

    def _guess(self, key: bytes, entry: _Entry, reason: EndReason, deadline: int) -> None:
        session = entry.session
        entry.kept_from = self._now
        self._close(entry, reason, session.last_activity_at)
        session.revision = next_revision(session, deadline)
        self._changed[key] = session

    def _give_up_waiting(self, key: bytes, entry: _Entry) -> None:
        session = entry.session
        if session.end_reason is not EndReason.ORPHAN:
            # Activity or facts of a session that nobody opened: they are stored as events and open nothing.
            del self._entries[key]
            return
        entry.held = -1
        entry.kept_from = self._now
        self.counters.add("sessions_orphaned_total")
        self._changed[key] = session
        self._keep(key)
        self._schedule(key, entry)

    def _evict(self) -> None:
        """More open sessions than the limit: close the longest idle ones, one in a hundred at once."""
        surplus = max(1, self.limits.max_open // 100)
        opened = (item for item in self._entries.items() if item[1].session.state is State.OPEN and item[1].held < 0)
        for key, entry in nsmallest(surplus, opened, key=lambda item: item[1].session.last_activity_at):
            self.counters.add("sessions_evicted_total")
            self._guess(key, entry, EndReason.EVICTED, entry.session.last_activity_at)
            self._schedule(key, entry)

    def _sensor_started(self, record: Connection) -> None:
        """Everything this sensor had open before has ended, whether it said so or not."""
        if record.time <= self._boots.get(record.sensor, 0):
            self.counters.add("connections_repeated_total")
            return
        self._boots[record.sensor] = record.time
        for key, entry in list(self._entries.items()):
            if entry.session.sensor == record.sensor and entry.held < 0:
                self._restarted_since(entry)
                if entry.session.end_reason is EndReason.SENSOR_RESTART:
                    self._changed[key] = entry.session
                    self._schedule(key, entry)
        for key, history in list(self._histories.items()):
            if history.sensor == record.sensor:
                self._pair(key, history, record.time)

    def _restarted_since(self, entry: _Entry) -> None:
        session = entry.session
        boot = self._boots.get(session.sensor, 0)
        if session.state is State.OPEN and session.started_at is not None and session.last_activity_at < boot:
            self._guess(session.key.encode(), entry, EndReason.SENSOR_RESTART, boot)

    def _schedule_history(self, key: bytes, history: KeyHistory) -> None:
        deadline = history.deadline(self.limits)
        self._cancel_history(history)
        if deadline is not None:
            history.bucket = self._wheel(history.sensor).set(key, deadline)

    def _cancel_history(self, history: KeyHistory) -> None:
        if history.bucket >= 0:
            self._wheel(history.sensor).cancel(history.key, history.bucket)
            history.bucket = -1
