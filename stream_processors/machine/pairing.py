"""Sessions of keys without an id: devices (MAC) and connections known only by their addresses.

What belongs together follows from event times alone, so a key keeps its recent records as marks on a time line and
pairs the whole line anew when a record arrives. A mark leaves the line once grace is over.
"""

from itertools import islice

import msgspec

from schemas.metrics import Counters
from schemas.records import Connection, EndReason, Session, is_flow_key
from schemas.times import SECOND
from stream_processors.machine import amending
from stream_processors.machine.boots import Boots
from stream_processors.machine.endings import restarted_at
from stream_processors.machine.forgotten import Forgotten
from stream_processors.machine.held import HeldOffsets
from stream_processors.machine.key_history import KeyHistory
from stream_processors.machine.limits import Limits
from stream_processors.machine.lookups import Lookups
from stream_processors.machine.questions import Questions
from stream_processors.machine.timers import Wheels
from stream_processors.machine.watermarks import SensorWatermarks
from stream_processors.machine.writes import Write, may_remove


class PairedSessions:
    """State of one partition for keys without an id."""

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
        #: Key that a store has just been asked about.
        self._told = b""
        #: The longest idle first.
        self._histories: dict[bytes, KeyHistory] = {}
        self._versions: dict[tuple[str, str], Session] = {}
        self._wheels = Wheels()

    @property
    def waiting(self) -> int:
        """Records that wait for what a store knows of their key."""
        return self._questions.count

    def __len__(self) -> int:
        return len(self._histories)

    def restore(self, key: bytes, stored: list[Session]) -> None:
        """Take back the sessions of one key from a store."""
        for session in stored:
            if session.end_reason is EndReason.SENSOR_RESTART:
                self._boots.add(session.sensor, restarted_at(session))
        if len(self._histories) >= self.limits.max_paired and not any(one.held for one in stored):
            self._forgotten.add((key,))
        else:
            self._take_back(key, stored)

    def apply(self, key: bytes, record: Connection, broker_time: int, offset: int) -> None:
        """Put one record on the line of its key, and pair that line anew."""
        history = self._histories.pop(key, None)
        if history is None:
            if self._must_ask(key) and self._questions.ask(key, record, broker_time, offset):
                return
            if len(self._histories) >= self.limits.max_paired:
                self._evict()
            history = self._begin(key)
        self._histories[key] = history
        if not history.add(record, broker_time, offset):
            self.counters.add("connections_repeated_total")
            return
        self.counters.add("connections_applied_total")
        self._pair(key, history, record.time, self._watermarks.of(history.sensor))

    def write(self, write: Write, stored: list[Session]) -> bool:
        """Apply a record of an API to what memory has of its key, and to what only the store has; false when there is
        nothing it could mean."""
        record = write.record
        history = self._histories.get(write.key)
        matched = False
        if history is not None:
            matched = history.has(record.session_id) or not record.session_id
            for session in history.write(write, stored):
                self._versions[session.sensor, session.session_id] = session
        for session in stored:
            if (history is not None and history.has(session.session_id)) or amending.is_replaced(session):
                continue
            matched = True
            if record.session_id or (not session.removed and may_remove(write, session, stored)):
                version = msgspec.structs.replace(session)
                if amending.write(version, record, write.broker_time):
                    self._versions[session.sensor, session.session_id] = version
        return matched

    def stop_waiting(self, key: bytes) -> None:
        """Activity of a key with no session has waited long enough: ask the store, or give it up."""
        if key in self._histories and not self._lookups.ask(key):
            self.resolve(key, [])

    def resolve(self, key: bytes, found: list[Session]) -> None:
        """Go on from what a store knows of a key with an end that waits for its opening."""
        if not is_flow_key(key):
            found = [one for one in found if one.end_reason is not EndReason.COMPLETE]
        found = [one for one in found if not amending.is_replaced(one)]
        asked = self._questions.answered(key)
        if asked is not None:
            if found:
                if len(self._histories) >= self.limits.max_paired:
                    self._evict()
                self._take_back(key, found)
            self._told = key
            for record, broker_time, offset in asked:
                self.apply(key, record, broker_time, offset)
            self._told = b""
            return
        history = self._histories.get(key)
        if history is not None:
            history.resolve(found)
            self._pair(key, history, self._watermarks.of(history.sensor), self._watermarks.of(history.sensor))

    def take_changes(self) -> list[Session]:
        """Latest version of every session that changed."""
        changes = list(self._versions.values())
        self._versions.clear()
        return changes

    def expire(self, sensor: str, watermark: int) -> None:
        """Do what is due for the keys of ``sensor`` at ``watermark`` (microseconds UTC)."""
        for key in self._wheels.due(sensor, watermark):
            history = self._histories.get(key)
            if history is not None:
                self._pair(key, history, watermark, watermark)

    def sensor_started(self, sensor: str, time: int) -> None:
        """A restart of this sensor at ``time`` has become known: end what it ended."""
        for key, history in list(self._histories.items()):
            if history.sensor == sensor:
                self._pair(key, history, time, self._watermarks.of(sensor))

    def may_know(self, key: bytes) -> bool:
        """Whether memory has something of this key, or had it once."""
        return key in self._histories or self._must_ask(key)

    def _must_ask(self, key: bytes) -> bool:
        """Whether memory may have forgotten what came before this record."""
        if key in self._questions.open:
            return True
        return key != self._told and self._questions.is_forgotten(key)

    def _evict(self) -> None:
        """More keys than the limit: the longest idle ones leave, one in a hundred at once; a store knows them."""
        surplus = max(1, self.limits.max_paired // 100)
        leaving = (key for key, history in self._histories.items() if history.may_leave())
        for key in list(islice(leaving, surplus)):
            for session in self._histories.pop(key).evicted():
                self.counters.add("sessions_evicted_total")
                self._versions[session.sensor, session.session_id] = session
            self._wheels.cancel(key)
            self._forgotten.add((key,))

    def _take_back(self, key: bytes, stored: list[Session]) -> None:
        history = self._histories[key] = self._begin(key)
        history.restore(stored)
        self._schedule(key, history)

    def _begin(self, key: bytes) -> KeyHistory:
        return KeyHistory(key, self._lookups.enabled)

    def _pair(self, key: bytes, history: KeyHistory, time: int, watermark: int) -> None:
        for session in history.versions(self.limits, self._boots, watermark, time, self.counters):
            self._versions[session.sensor, session.session_id] = session
        if history.wants_lookup:
            self._lookups.ask(key)
        self._held.release(key)
        if history.held is not None:
            self._held.hold(key, history.held, self.now)
        history.settle(watermark, self.now, self.limits)
        if history.is_empty():
            self._wheels.cancel(key)
            del self._histories[key]
            if history.guessed:
                # What comes next may prove the guess wrong.
                self._forgotten.add((key,))
        else:
            self._schedule(key, history, watermark)

    def _schedule(self, key: bytes, history: KeyHistory, watermark: int = 0) -> None:
        deadline = history.deadline(self.limits)
        if deadline is None:
            self._wheels.cancel(key)
        else:
            # What is due already waits for processing time: look again a little later.
            self._wheels.set(history.sensor, key, max(deadline, watermark + SECOND))
