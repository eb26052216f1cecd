"""How far each sensor's event time has come.

Kept per sensor over all source partitions, never per partition: an import of last year's log, a backlog, or a wrong
clock must neither close nor keep open anyone else's sessions. Source: session-semantics, Watermarks; hard-questions,
"Watermarks over many partitions".
"""

from schemas.records import Tick
from schemas.times import DAY, MINUTE

#: A sensor is live when its latest event time was this close to the broker's clock.
_NEAR = 5 * MINUTE
#: Records that must agree before a jump forward by more than a day counts.
_CONFIRMATIONS = 3


class HighTime:
    """Highest event time of one sensor in one source partition; a jump of more than a day needs confirming."""

    __slots__ = ("_jumps", "time")

    def __init__(self, time: int) -> None:
        self.time = time
        self._jumps: list[int] = []

    def observe(self, time: int) -> bool:
        """Take one event time (microseconds UTC); true when the high time moved."""
        if time <= self.time:
            return False
        if time - self.time > DAY:
            self._jumps.append(time)
            if len(self._jumps) < _CONFIRMATIONS:
                return False
            # The earliest of the jumps that agree: one wild clock among them does not decide.
            time = min(self._jumps)
        self._jumps.clear()
        self.time = time
        return True


class _Sensor:
    __slots__ = ("proved", "seeded", "seen_at", "sources", "watermark")

    def __init__(self) -> None:
        self.sources: dict[str, int] = {}
        self.watermark = 0
        self.seen_at = 0
        #: How far restored sessions prove that it had come, and whether no tick has come since they told so.
        self.proved = 0
        self.seeded = False


class SensorWatermarks:
    """Watermark per sensor, from the ticks of every source partition."""

    def __init__(self) -> None:
        self._sensors: dict[str, _Sensor] = {}
        self._behind: set[str] = set()
        self._sensors_of: dict[str, set[str]] = {}

    def apply(self, tick: Tick, broker_time: int) -> dict[str, int]:
        """Take a tick; returns the sensors whose watermark advanced, with the new one (microseconds UTC)."""
        touched = set(tick.sensors)
        if tick.caught_up == (tick.source in self._behind):
            # Whether a source holds its sensors back has changed: all of them are judged anew.
            (self._behind.discard if tick.caught_up else self._behind.add)(tick.source)
            touched |= self._sensors_of.get(tick.source, set())
        known = self._sensors_of.setdefault(tick.source, set())
        for sensor, time in tick.sensors.items():
            entry = self._sensors.setdefault(sensor, _Sensor())
            entry.sources[tick.source] = max(time, entry.sources.get(tick.source, 0))
            entry.seen_at = max(entry.seen_at, broker_time)
            known.add(sensor)
        return self._advanced(touched)

    def seed(self, sensor: str, time: int, seen_at: int) -> None:
        """Start from what a restored session proves: the sensor had come at least to ``time``.

        The first tick counts as an advance even when it says no more than that: what was due by it may not have been
        done before the machine was lost.
        """
        entry = self._sensors.setdefault(sensor, _Sensor())
        entry.watermark = entry.proved = max(entry.watermark, time)
        entry.seeded = True
        entry.seen_at = max(entry.seen_at, seen_at)

    def sweep(self, now: int, silence: int) -> dict[str, int]:
        """Watermarks of live sensors that were silent for ``silence`` microseconds of wall clock.

        Their event time is taken to run on with the wall clock. A sensor whose event times were far from the wall
        clock (an import, a wrong clock) or whose sources have a backlog is left alone.
        """
        if not silence:
            return {}
        moved = {}
        for name, entry in self._sensors.items():
            quiet = now - entry.seen_at
            if quiet < silence or abs(entry.seen_at - entry.watermark) > _NEAR:
                continue
            if any(source in self._behind for source in entry.sources):
                continue
            moved[name] = entry.watermark + quiet
        return moved

    def of(self, sensor: str) -> int:
        """The watermark of a sensor, 0 when nothing is known of it."""
        entry = self._sensors.get(sensor)
        return entry.watermark if entry else 0

    def _advanced(self, sensors: set[str]) -> dict[str, int]:
        moved = {}
        for name in sensors:
            entry = self._sensors[name]
            behind = [time for source, time in entry.sources.items() if source in self._behind]
            mark = min(behind) if behind else max(entry.proved, *entry.sources.values())
            if mark > entry.watermark or entry.seeded:
                # The one time that a watermark may go back: no session proves that a source is not behind.
                entry.watermark = mark
                entry.seeded = False
                moved[name] = mark
        return moved
