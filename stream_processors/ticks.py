"""How far event time has come in each source partition, told to every partition of ``connections``.

A sensor's records are spread over source partitions and over partitions of ``connections``; a session machine sees
only some of them. Ticks give every machine the same picture (hard-questions: watermarks over many partitions).
"""

from collections.abc import Iterable, Mapping

from schemas.records import Tick
from stream_processors.machine.watermarks import HighTime


class SourceClock:
    """Event times of one source partition, counted only when their records stand on ``connections``."""

    __slots__ = ("_moved", "_sensors", "_told", "begun", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        #: Whether a batch of it stands on ``connections``: only then is it known which sensors it has.
        self.begun = False
        self._sensors: dict[str, HighTime] = {}
        self._moved: dict[str, int] = {}
        #: What the last tick said about being caught up; None before the first.
        self._told: bool | None = None

    def observe(self, times: Mapping[str, Iterable[int]]) -> None:
        """Event times (microseconds UTC) per sensor, in the order of the log."""
        self.begun = True
        for sensor, moments in times.items():
            high = self._sensors.get(sensor)
            for moment in moments:
                if high is None:
                    high = self._sensors[sensor] = HighTime(moment)
                    self._moved[sensor] = moment
                elif moment > high.time and high.observe(moment):
                    self._moved[sensor] = high.time

    @property
    def has_moved(self) -> bool:
        """Whether something has moved that no tick has said."""
        return bool(self._moved)

    def repeat(self) -> None:
        """Say everything again next time: whoever listened may be somebody else now."""
        self._moved = {sensor: high.time for sensor, high in self._sensors.items()}
        self._told = None

    def tick(self, caught_up: bool) -> Tick | None:
        """What has changed since the last tick, None when nothing has. Call it once a second at most."""
        if not self._moved and caught_up == self._told:
            return None
        moved, self._moved = self._moved, {}
        self._told = caught_up
        return Tick(source=self.source, caught_up=caught_up, sensors=moved)


def due_ticks(clocks: Iterable[tuple[SourceClock, bool]]) -> list[Tick]:
    """The ticks of this moment; each clock comes with whether its reader stands at the end.

    Sources that are behind speak first, and nobody speaks before it is known which sensors they have: else a sensor's
    event time would be taken from a source that is ahead, and what waits for the other would be given up.
    """
    clocks = sorted(clocks, key=lambda each: each[1])
    if any(not clock.begun and not caught_up for clock, caught_up in clocks):
        return []
    ticks = (clock.tick(caught_up) for clock, caught_up in clocks)
    return [tick for tick in ticks if tick is not None]
