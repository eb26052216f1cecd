"""When sensors began new lives: what one had open, and heard no more of, has ended then, whether it said so or not.

Source: session-semantics, "sensor restart".
"""

from bisect import bisect_right, insort

#: Restarts kept of one sensor, the latest: records come late, but not by so many lives.
_MOST = 100


class Boots:
    """Restarts of sensors as one session machine knows them, in event time (microseconds UTC)."""

    def __init__(self) -> None:
        self._times: dict[str, list[int]] = {}

    def add(self, sensor: str, time: int) -> None:
        """The sensor has begun a new life at ``time``."""
        times = self._times.setdefault(sensor, [])
        if time not in times:
            insort(times, time)
            del times[:-_MOST]

    def latest(self, sensor: str) -> int:
        """When the sensor's present life began; 0 when nothing is known of that."""
        times = self._times.get(sensor)
        return times[-1] if times else 0

    def after(self, sensor: str, time: int) -> int:
        """The sensor's first restart after ``time``, which ended what was heard of last then; 0 when there was none."""
        times = self._times.get(sensor, ())
        place = bisect_right(times, time)
        return times[place] if place < len(times) else 0
