"""Sessions of keys without an id: devices (MAC) and connections known only by their addresses.

What belongs together follows from event times alone, so a key keeps its recent records as marks on a time line and
pairs the whole line anew when a record arrives. A mark leaves the line once grace is over.
"""

from schemas.metrics import Counters
from schemas.records import Connection, Session
from schemas.times import SECOND
from stream_processors.held import HeldOffsets
from stream_processors.key_history import KeyHistory
from stream_processors.limits import Limits
from stream_processors.lookups import Lookups
from stream_processors.timers import Wheels
from stream_processors.watermarks import SensorWatermarks


class PairedSessions:
    """State of one partition for keys without an id."""

    def __init__(
        self, limits: Limits, counters: Counters, held: HeldOffsets, lookups: Lookups, watermarks: SensorWatermarks
    ) -> None:
        self.limits = limits
        self.counters = counters
        self.now = 0
        self._held = held
        self._lookups = lookups
        self._watermarks = watermarks
        self._histories: dict[bytes, KeyHistory] = {}
        self._versions: dict[tuple[str, str], Session] = {}
        self._wheels = Wheels()
        self._boots: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._histories)

    def restore(self, key: bytes, stored: list[Session]) -> None:
        """Take back the sessions of one key from a store."""
        history = self._histories[key] = self._begin(key)
        history.restore(stored)
        self._schedule(key, history)

    def apply(self, key: bytes, record: Connection, broker_time: int, offset: int) -> None:
        """Put one record on the line of its key, and pair that line anew."""
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = self._begin(key)
        if not history.add(record, broker_time, offset):
            self.counters.add("connections_repeated_total")
            return
        self.counters.add("connections_applied_total")
        self._pair(key, history, record.time, self._watermarks.of(history.sensor))

    def stop_waiting(self, key: bytes) -> None:
        """Activity of a key with no session has waited long enough: ask the store, or give it up."""
        if key in self._histories and not self._lookups.ask(key):
            self.resolve(key, [])

    def resolve(self, key: bytes, found: list[Session]) -> None:
        """Go on from what a store knows of a key with an end that waits for its opening."""
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
        """Whatever this sensor had open before ``time`` has ended, whether it said so or not."""
        self._boots[sensor] = max(time, self._boots.get(sensor, 0))
        for key, history in list(self._histories.items()):
            if history.sensor == sensor:
                self._pair(key, history, time, self._watermarks.of(sensor))

    def _begin(self, key: bytes) -> KeyHistory:
        return KeyHistory(key, self._lookups.enabled)

    def _pair(self, key: bytes, history: KeyHistory, time: int, watermark: int) -> None:
        boot = self._boots.get(history.sensor, 0)
        for session in history.versions(self.limits, boot, watermark, time, self.counters):
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
        else:
            self._schedule(key, history, watermark)

    def _schedule(self, key: bytes, history: KeyHistory, watermark: int = 0) -> None:
        deadline = history.deadline(self.limits)
        if deadline is None:
            self._wheels.cancel(key)
        else:
            # What is due already waits for processing time: look again a little later.
            self._wheels.set(history.sensor, key, max(deadline, watermark + SECOND))
