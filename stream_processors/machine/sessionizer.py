"""The session machine: connection records in, versions of sessions out. Pure: no I/O, no clock, no Faust.

The same records give the same sessions whatever their order (within grace), however often one is repeated. Source:
session-semantics.
"""

from collections.abc import Iterable, Mapping

import msgspec

from schemas.metrics import Counters
from schemas.records import Action, Connection, EndReason, Session, Tick, is_flow_key
from stream_processors.machine import amending
from stream_processors.machine.boots import Boots
from stream_processors.machine.forgotten import Forgotten
from stream_processors.machine.held import HeldOffsets
from stream_processors.machine.identified import IdentifiedSessions
from stream_processors.machine.limits import Limits
from stream_processors.machine.lookups import Lookups
from stream_processors.machine.pairing import PairedSessions
from stream_processors.machine.session_memory import Version
from stream_processors.machine.stored_session import StoredSession
from stream_processors.machine.timeline import recorded_id
from stream_processors.machine.watermarks import SensorWatermarks
from stream_processors.machine.writes import Write, Writes, may_remove

_decode_key = msgspec.json.Decoder(list[str]).decode
_encode_key = _encode_session = msgspec.json.Encoder().encode
_decode_session = msgspec.json.Decoder(Session).decode

# Looking them up in their class costs more than all else that apply does.
_CONNECT, _DISCONNECT, _COMPLETE = Action.CONNECT, Action.DISCONNECT, Action.COMPLETE
_SENSOR_START, _AMEND, _REMOVE = Action.SENSOR_START, Action.AMEND, Action.REMOVE

#: A session key of this many parts names (sensor, session id); other lengths are keys without an id.
_PARTS_WITH_ID = 2


class Sessionizer:
    """State of one partition of ``connections``.

    Feed it with ``take`` or ``apply``, and ``tick``, in the order of the partition, then publish ``take_versions``.
    """

    def __init__(self, limits: Limits, lookups: bool = False, forgotten: Forgotten | None = None) -> None:
        """``lookups``: somebody answers ``take_lookups`` and ``take_writes``; else what memory does not know is not
        known. ``forgotten``: keys that memory once knew, shared by the machines of a worker."""
        self.limits = limits
        self.counters = Counters()
        self.watermarks = SensorWatermarks()
        self._held = HeldOffsets()
        self._lookups = Lookups(lookups)
        self._writes = Writes(lookups)
        self._gone = gone = Forgotten() if forgotten is None else forgotten
        self._boots = Boots()
        shared = self.counters, self._held, self._lookups, self.watermarks, self._boots, gone
        self._identified = IdentifiedSessions(limits, *shared)
        self._paired = PairedSessions(limits, *shared)
        #: ``take(key, value, broker_time)``, see there: to be tried before a record is decoded for ``apply``.
        self.take = self._identified.memory.take

    def __len__(self) -> int:
        """Sessions and keys in memory."""
        return len(self._identified.memory) + len(self._paired)

    @property
    def open_sessions(self) -> int:
        """Open sessions with an id of their own."""
        return self._identified.memory.opened

    @property
    def awake(self) -> int:
        """Sessions with an id that take the room of an object, until the versions are taken or their opening comes."""
        return len(self._identified.memory.objects)

    @property
    def is_waiting(self) -> bool:
        """Whether so many records wait for a store that no more should be applied before it has answered."""
        return self._identified.waiting + self._paired.waiting >= self.limits.max_waiting

    @property
    def oldest_held(self) -> int | None:
        """Smallest offset of a record that still waits for its partner; a commit must not pass it."""
        floors = [floor for floor in (self._held.oldest, self._writes.oldest) if floor is not None]
        return min(floors, default=None)

    def apply(self, key: bytes, record: Connection, broker_time: int, offset: int = 0) -> None:
        """Take one record of the partition: its session key, broker time (microseconds UTC) and offset.

        The record belongs to the machine from then on.
        """
        action = record.action
        if (action is _CONNECT or action is _DISCONNECT) and record.session_id:
            self._identified.apply(key, record, broker_time, offset)
        elif action is _COMPLETE:
            self._complete(key, record, broker_time, offset)
        elif action is _SENSOR_START:
            self._boots.add(record.sensor, record.time)
            self._identified.sensor_started(record.sensor)
            self._paired.sensor_started(record.sensor, record.time)
        elif (action is _AMEND or action is _REMOVE) and len(_decode_key(key)) != _PARTS_WITH_ID:
            self._write(Write(key, record, broker_time, offset))
        elif record.session_id and not record.process:
            self._identified.apply(key, record, broker_time, offset)
        elif key:
            self._paired.apply(key, record, broker_time, offset)

    def tick(self, tick: Tick, broker_time: int) -> None:
        """Take how far a source partition has come, and close what is due by it."""
        self._clock(broker_time)
        self._expire(self.watermarks.apply(tick, broker_time))

    def sweep(self, now: int) -> None:
        """Close what silent but live sensors left open; ``now`` is the wall clock (microseconds UTC)."""
        self._clock(now)
        self._expire(self.watermarks.sweep(now, self.limits.sweep))
        # A sensor that never says anything again has no event time to wait for; its records must not keep the commit
        # back for ever.
        for key in self._held.since_before(now - max(self.limits.grace, self.limits.keep)):
            self._home_of(key).stop_waiting(key)

    def take_versions(self) -> list[Version]:
        """The latest version of every session that changed since the last call, as messages of ``sessions``."""
        versions = self._identified.take_versions()
        for session in self._paired.take_changes():
            versions.append((_encode_key((session.sensor, session.session_id)), _encode_session(session), ()))
        if versions:
            self.counters.add("sessions_published_total", len(versions))
        return versions

    def take_changes(self) -> list[Session]:
        """The same as sessions, for those who do not publish them."""
        return [_decode_session(value) for _, value, _ in self.take_versions()]

    def restore(self, sessions: Iterable[Session]) -> None:
        """Take back sessions from a store: the open ones, and closed ones that late records may still change."""
        paired: dict[bytes, list[Session]] = {}
        for session in sessions:
            key = session.key.encode()
            self.watermarks.seed(session.sensor, session.last_activity_at, session.modified_at)
            if amending.is_replaced(session):
                continue
            home = self._own_key_of(key, session)
            if home is not None:
                self._identified.restore(home, session)
                self._remember_flow(key)
            else:
                paired.setdefault(key, []).append(session)
        for key, stored in paired.items():
            self._paired.restore(key, stored)

    def restore_stored(self, stored: StoredSession, value: bytes) -> bool:
        """The same for a session as bytes, so that a million of them cost neither time nor memory. False when
        ``restore`` is needed; the watermark of its sensor is left to ``seed``, for many at once."""
        if not stored.paired:
            self._identified.restore(stored.key.encode(), stored, value)
        elif stored.end_reason is EndReason.COMPLETE:
            self._identified.restore(_own_key(stored), stored, value)
            self._remember_flow(stored.key.encode())
        else:
            return False
        return True

    def seed(self, sensor: str, time: int, seen_at: int) -> None:
        """What restored sessions prove: the sensor had come at least to ``time``, and was seen then (both UTC)."""
        self.watermarks.seed(sensor, time, seen_at)

    def _own_key_of(self, key: bytes, session: Session) -> bytes | None:
        """What a session is kept under that takes no part in pairing; None for all others."""
        if len(_decode_key(key)) == _PARTS_WITH_ID:
            return key
        return _own_key(session) if session.end_reason is EndReason.COMPLETE else None

    def take_lookups(self, most: int) -> list[bytes]:
        """Up to ``most`` keys whose stored sessions are wanted; answer each with ``resolve``."""
        return self._lookups.take(most)

    def resolve(self, key: bytes, found: list[Session]) -> None:
        """What a store knows of a key: its sessions in their latest versions, none when it knows nothing."""
        if self._home_of(key) is self._paired:
            if is_flow_key(key):
                # From here on they stand on the line of their key.
                for session in found:
                    self._identified.memory.let_go(_own_key(session))
            self._paired.resolve(key, found)
        else:
            self._identified.resolve(key, found[-1] if found else None)
            self._identified.judge(key)

    def give_back(self, keys: list[bytes]) -> None:
        """Keys of ``take_lookups`` that could not be answered: they are wanted again."""
        self._lookups.give_back(keys)

    def take_writes(self, most: int) -> list[Write]:
        """Up to ``most`` records of an API that need sessions from a store; answer each with ``resolve_write``."""
        return self._writes.take(most)

    def give_back_writes(self, writes: list[Write]) -> None:
        """Those of ``take_writes`` that could not be answered: they are taken again."""
        self._writes.give_back(writes)

    def resolve_write(self, write: Write, found: list[Session]) -> None:
        """What a store has of the session a record of an API is about, or of its device: latest versions, removed ones
        too."""
        self._writes.settle(write)
        record = write.record
        known = [one for one in found if self._identified.memory.knows(_own_key(one))]
        matched = self._paired.write(write, [one for one in found if one not in known])
        for session in known:
            if record.session_id or may_remove(write, session, found):
                self._identified.apply(_own_key(session), record, write.broker_time, write.offset)
        if not matched and not known:
            self.counters.add("writes_unmatched_total")

    def _write(self, write: Write) -> None:
        """A record of an API about sessions of a key without an id. A device may have more of them than memory."""
        record = write.record
        if record.session_id and not self._writes.wait_for(write.key):
            own = _own_key(record)
            if self._identified.memory.knows(own):
                # A complete record made it: it takes no part in pairing.
                self._identified.apply(own, record, write.broker_time, write.offset)
                return
            if self._paired.write(write, []):
                return
        if self._writes.enabled:
            self._writes.add(write)
        else:
            self.resolve_write(write, [])

    def _home_of(self, key: bytes) -> IdentifiedSessions | PairedSessions:
        return self._identified if len(_decode_key(key)) == _PARTS_WITH_ID else self._paired

    def _complete(self, key: bytes, record: Connection, broker_time: int, offset: int) -> None:
        """Start and end in one record. Without an id of its own it takes no part in pairing, and gets one: of the
        record, because two equal ones are two sessions."""
        if record.session_id and record.process:
            if not self._lookups.enabled or self._paired.may_know(key):
                self._paired.apply(key, record, broker_time, offset)
                return
            # Most flows are known by this one record: no line is needed, and what comes later asks the store.
            self._gone.add((key,))
            record.key = key.decode()
            key = _own_key(record)
        elif not record.session_id:
            record.session_id = recorded_id(record.record_id)
            record.key = key.decode()
            key = _own_key(record)
        self._identified.complete(key, record, broker_time, offset)

    def _remember_flow(self, key: bytes) -> None:
        if is_flow_key(key):
            self._gone.add((key,))

    def _clock(self, now: int) -> None:
        self._identified.now = max(self._identified.now, now)
        self._paired.now = max(self._paired.now, now)

    def _expire(self, watermarks: Mapping[str, int]) -> None:
        if watermarks:
            self._identified.set_timers(watermarks)
        for sensor, watermark in watermarks.items():
            self._identified.expire(sensor, watermark)
            self._paired.expire(sensor, watermark)


def _own_key(named: Connection | Session | StoredSession) -> bytes:
    """What a session is kept under whose records come under another key: a device's, or that of two addresses."""
    return _encode_key((named.sensor, named.session_id))
