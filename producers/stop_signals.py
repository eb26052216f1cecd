"""Signals that ask a process to stop: the first to end well, a later one to end at once.

Whoever signals a process often signals its group, too: ``timeout``, ``make``, a terminal and an init of a container may
all give the same word twice. What comes again within a second is the same wish.
"""

import time
from collections.abc import Callable

#: Seconds after the first signal in which others mean the same.
SAME_WISH = 1.0


class StopSignals:
    """Call it for each signal: ``stop`` is called at the first, ``at_once`` at those that come later than a second
    after that."""

    def __init__(
        self, stop: Callable[[], object], at_once: Callable[[], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stop, self._at_once, self._clock = stop, at_once, clock
        self._first: float | None = None

    def __call__(self) -> None:
        now = self._clock()
        if self._first is None:
            self._first = now
            self._stop()
        elif now - self._first >= SAME_WISH:
            self._at_once()
