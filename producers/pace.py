"""Lines at a given rate."""

import asyncio
import time
from typing import TypeVar

T = TypeVar("T")

#: Lines that are sent together.
_TOGETHER = 2_000


class Pace:
    """Lets through so many lines a second; 0 is no limit."""

    def __init__(self, rate: float, stop: asyncio.Event) -> None:
        self._rate = rate
        self._stop = stop
        self._due = time.monotonic()

    def slices(self, lines: list[T]) -> list[list[T]]:
        """Small enough that a slow rate is even, at most a tenth of a second's worth."""
        size = min(_TOGETHER, max(1, int(self._rate / 10))) if self._rate else _TOGETHER
        return [lines[at : at + size] for at in range(0, len(lines), size)]

    async def wait(self, sent: int) -> None:
        """Until the next lines are due. Lost time is not made up for in a burst."""
        if not self._rate:
            return
        self._due = max(self._due, time.monotonic() - 1.0) + sent / self._rate
        pause = self._due - time.monotonic()
        if pause > 0 and not self._stop.is_set():
            try:
                await asyncio.wait_for(self._stop.wait(), pause)
            except TimeoutError:
                return
