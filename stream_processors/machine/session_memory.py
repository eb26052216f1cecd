"""What a session machine remembers of sessions with an id, each in the form that costs least for the moment."""

from collections import deque
from collections.abc import Container

import msgspec

from schemas.metrics import Counters
from schemas.records import Action, Connection, Session
from stream_processors.machine.deadlines import Deadlines
from stream_processors.machine.endings import EVIDENCE
from stream_processors.machine.forgotten import MASK, Forgotten
from stream_processors.machine.limits import Limits
from stream_processors.machine.plain_sessions import (
    PlainConnection,
    begun_with,
    decode_connection,
    end_plainly,
    ended_version,
    opening_version,
    short_version,
)
from stream_processors.machine.recently_closed import RecentlyClosed
from stream_processors.machine.watermarks import SensorWatermarks

# A member of an enumeration costs 65 ns to look up by its name, a tenth of decoding a record.
_CONNECT, _DISCONNECT = Action.CONNECT, Action.DISCONNECT
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Session).decode

#: Where a record as route writes it says what it is, and how activity, annotations and amendments begin there: to try
#: them as plain records costs as much as reading them.
_ACTION_AT, _ACTIVITY_BEGINS = len(b'{"action":"'), ord("a")

#: Key and value of a message of ``sessions``, without headers.
Version = tuple[bytes, bytes, tuple[()]]


class SessionMemory:
    """Sessions of one partition, by key. Each has one of four forms.

    Begun: a plain opening of which nothing more is known since the versions were last taken. Most scanners close before
    that. An object, for as long as a batch works on it or it waits for its opening. Asleep: open, or ended by a guess,
    as the bytes of its last version; half of what an object needs. Closed by evidence: bytes, too, the latest of them.
    """

    def __init__(
        self,
        limits: Limits,
        counters: Counters,
        deadlines: Deadlines,
        watermarks: SensorWatermarks,
        forgotten: Forgotten,
        asked: Container[bytes],
    ) -> None:
        """``asked``: keys about which a store has been asked; their records wait."""
        self._limits = limits
        self._counters = counters
        self._deadlines = deadlines
        self._watermarks = watermarks
        self._forgotten = forgotten
        self._asked = asked
        self.begun: dict[bytes, tuple[PlainConnection, int]] = {}
        self.objects: dict[bytes, Session] = {}
        #: Longest untouched first.
        self.asleep: dict[bytes, bytes] = {}
        self._closed = RecentlyClosed(limits.max_closed, forgotten.add)
        #: Objects whose versions are to be taken, and the bytes of what is an object for the moment.
        self.changed: dict[bytes, Session] = {}
        self._woken: dict[bytes, bytes] = {}
        #: Versions of what has begun and ended since they were last taken, and of what has ended plainly.
        self._short: list[Version] = []
        self._ended: list[Version] = []
        #: Guessed closings and orphans that wait for late records, oldest first.
        self._kept: deque[bytes] = deque()
        #: Sensor → earliest start of a session that cannot be over yet; asked anew after whatever may change it.
        self._earliest: dict[str, int] = {}
        self._opened = 0
        #: Records that changed a session. These are counted here and handed on once a batch.
        self.applied = 0
        self._opened_total = self._closed_total = 0

    @property
    def opened(self) -> int:
        """Open sessions."""
        return self._opened + len(self.begun)

    def __len__(self) -> int:
        return len(self.objects) + len(self.begun) + len(self.asleep)

    def take(self, key: bytes, value: bytes, broker_time: int) -> bool:
        """Take a record as JSON if it is one of the two that nearly all are: the plain opening of a session that is
        new, or the plain end of one that is open. False when it is another: then ``apply`` it.

        Most of a worker's work is here, so nothing is called that can be written out. Raises msgspec.DecodeError.
        """
        try:
            if value[_ACTION_AT] == _ACTIVITY_BEGINS:
                return False
            record = decode_connection(value)
        except (IndexError, msgspec.ValidationError):
            return False
        action = record.action
        begun = self.begun
        if action is _CONNECT:
            closed = self._closed
            if (
                key in begun
                or key in self.objects
                or key in self.asleep
                or key in closed.young
                or key in closed.old
                or key in self._asked
            ):
                return False
            places = self._forgotten.places
            if places and places[hash(key) & MASK] and key in self._forgotten:
                return False
            earliest = self._earliest.get(record.sensor)
            if record.time < (self._earliest_of(record.sensor) if earliest is None else earliest):
                return False
            if not record.session_id:
                return False
            begun[key] = record, broker_time
            return True
        if action is not _DISCONNECT:
            return False
        opening = begun.get(key)
        if opening is None:
            return self._end_later(key, record, broker_time)
        version = short_version(key, *opening, record, broker_time)
        if version is None:
            return False
        del begun[key]
        self._short.append((key, version, ()))
        self._closed.keep(key, version)
        return True

    def _end_later(self, key: bytes, record: PlainConnection, broker_time: int) -> bool:
        """End a session whose opening has been published, or of which more is known. False when there is more to it;
        nothing has changed then."""
        value = self.asleep.get(key)
        if value is None:
            session = self.objects.get(key)
            if session is None or session.flags or session.removed:
                return False
            if not end_plainly(session, record, broker_time):
                return False
            self.changed[key] = session
        else:
            version = ended_version(value, record, broker_time)
            if version is None:
                return False
            del self.asleep[key]
            self._deadlines.forget(key)
            self._ended.append((key, version, ()))
            self._closed.keep(key, version)
        self.applied += 1
        self.count_closed()
        return True

    def _earliest_of(self, sensor: str) -> int:
        earliest = self._earliest[sensor] = self._deadlines.earliest(sensor, self._watermarks.of(sensor))
        return earliest

    def knows(self, key: bytes) -> bool:
        """Whether memory has the session."""
        return key in self.objects or key in self.begun or key in self.asleep or key in self._closed

    def let_go(self, key: bytes) -> None:
        """Others judge this session from now on."""
        if key in self._closed:
            self._closed.take(key)

    def find(self, key: bytes) -> Session | None:
        """A session as an object, but for what has only begun; None when memory does not have it."""
        session = self.objects.get(key)
        if session is not None:
            return session
        if key in self.asleep:
            return self.wake(key)
        closed = self._closed
        if key in closed.young or key in closed.old:
            return self._awake(key, closed.take(key))
        return None

    def wake(self, key: bytes) -> Session:
        """An object again, for as long as this record or this batch takes."""
        return self._awake(key, self.asleep.pop(key))

    def _awake(self, key: bytes, value: bytes) -> Session:
        self._woken[key] = value
        session = self.objects[key] = _decode(value)
        return session

    def settle_all(self) -> None:
        """Make a session of everything that has begun."""
        begun, self.begun = self.begun, {}
        for key, (record, broker_time) in begun.items():
            self.begin(key, record, broker_time)

    def begin(self, key: bytes, record: Connection | PlainConnection, broker_time: int) -> Session:
        """The session that has begun with this record."""
        self.applied += 1
        self.count_opened()
        session = self.objects[key] = self.changed[key] = begun_with(key, record, broker_time)
        return session

    def take_versions(self) -> list[Version]:
        """Latest version of every session that changed; sets the timers of those that may still end by themselves.

        All but what waits for its opening leaves memory as an object and stays as the bytes of its version: thousands
        of objects that die in another order than they were made cost more than all the rest.
        """
        self.times_moved()
        versions, self._short = self._short, []
        begun, self.begun = self.begun, {}
        self.applied += 2 * len(versions) + len(begun)
        self._opened_total += len(versions) + len(begun)
        self._closed_total += len(versions)
        self._opened += len(begun)
        versions += self._ended
        self._ended.clear()
        closed, asleep = self._closed, self.asleep
        for key, (record, broker_time) in begun.items():
            value = asleep[key] = opening_version(key, record, broker_time)
            versions.append((key, value, ()))
            self._deadlines.schedule_opening(key, record.sensor, record.protocol, record.time)
        sessions = self.objects
        for key, session in self.changed.items():
            value = _encode(session)
            versions.append((key, value, ()))
            if session.end_reason in EVIDENCE:
                closed.keep(key, value)
                del sessions[key]
                self._deadlines.forget(key)
            else:
                # Timers only for what outlives its batch: most short sessions never need one.
                self._deadlines.schedule(key, session)
                if not session.held:
                    asleep[key] = value
                    del sessions[key]
        self.changed.clear()
        for key, value in self._woken.items():
            # Woken for nothing, by a repeated record for instance: its bytes are as they were.
            unchanged = sessions.get(key)
            if unchanged is not None and not unchanged.held:
                del sessions[key]
                if unchanged.end_reason in EVIDENCE:
                    closed.keep(key, value)
                else:
                    asleep[key] = value
        self._woken.clear()
        self._counters.add("connections_applied_total", self.applied)
        self._counters.add("sessions_opened_total", self._opened_total)
        self._counters.add("sessions_closed_total", self._closed_total)
        self.applied = self._opened_total = self._closed_total = 0
        return versions

    def keep_for_late(self, key: bytes) -> None:
        """Remember a closed session for late records, and forget the oldest beyond the limit."""
        kept = self._kept
        kept.append(key)
        if len(kept) > self._limits.max_kept:
            oldest = kept.popleft()
            if is_closed(self.asleep.get(oldest, b"")):
                self.forget(oldest)

    def forget(self, key: bytes) -> None:
        """Let go of a session that the store has: whatever comes of it later asks there."""
        self.drop(key)
        self._forgotten.add((key,))

    def drop(self, key: bytes) -> None:
        """Let go of a session of which nothing is stored."""
        self._deadlines.forget(key)
        self.changed.pop(key, None)
        self.objects.pop(key, None)
        self.asleep.pop(key, None)

    def times_moved(self) -> None:
        """A watermark, or what is known of a sensor's restarts, may be another now."""
        self._earliest.clear()

    def count_opened(self) -> None:
        """An object that was not open is open, for the first time."""
        self._opened += 1
        self._opened_total += 1

    def count_reopened(self) -> None:
        """An object that was closed is open, or one that is open was taken back from a store."""
        self._opened += 1

    def count_closed(self) -> None:
        """An object that was open is closed."""
        self._opened -= 1
        self._closed_total += 1

    def keep_closed(self, key: bytes, value: bytes) -> None:
        """Take back a session that ended by evidence."""
        self._closed.keep(key, value)


def is_closed(value: bytes) -> bool:
    """Whether these are the bytes of a session that has ended. Attributes, which may say anything, come after that;
    quotes within other values are escaped."""
    return value.find(b'"state":"closed"', 0, value.find(b'"attributes":{')) >= 0
