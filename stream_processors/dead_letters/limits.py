"""When bad records are too many to go on: then the sensor, or we, have a fault that somebody must look at. Pure.

One bad record never stops a partition. But where nearly everything is bad, going on only turns a topic into dead
letters; so the worker ends, loudly, and with nothing lost: what it had not committed is read again.
"""

from collections import deque
from collections.abc import Sequence

from schemas.settings import DeadLetters

#: Exit code of a process that ends for this reason: starting it again before somebody looked changes nothing.
EXIT_CODE = 65


class TooManyBadRecordsError(Exception):
    """The text is one sentence for the person who operates this."""


class BadRecords:
    """Counts the records of one partition: how many of the latest ``window`` were bad, and how many in a row."""

    __slots__ = ("_bad", "_batches", "_limits", "_row", "_total")

    def __init__(self, limits: DeadLetters) -> None:
        self._limits = limits
        self._batches: deque[tuple[int, int]] = deque()
        self._total = self._bad = self._row = 0

    def good(self, count: int) -> None:
        """Count so many good records."""
        if count:
            self._row = 0
            self._count(count, 0)

    def mixed(self, bad: Sequence[bool]) -> str:
        """Count records in the order of the log. What is exceeded by them, in words; empty when nothing is.

        The share is judged from the first full window on.
        """
        limits = self._limits
        row = self._longest_row(bad)
        if limits.max_consecutive and row > limits.max_consecutive:
            return f"{row} records in a row cannot be used, dead_letters.max_consecutive is {limits.max_consecutive}"
        self._count(len(bad), sum(bad))
        if self._total >= limits.window and self._bad > limits.max_share * self._total:
            return (
                f"{self._bad} of the latest {self._total} records cannot be used, "
                f"dead_letters.max_share is {limits.max_share:g}"
            )
        return ""

    def _count(self, count: int, bad: int) -> None:
        self._batches.append((count, bad))
        self._total += count
        self._bad += bad
        while self._total - self._batches[0][0] >= self._limits.window:
            count, bad = self._batches.popleft()
            self._total -= count
            self._bad -= bad

    def _longest_row(self, bad: Sequence[bool]) -> int:
        longest = self._row
        for one in bad:
            self._row = self._row + 1 if one else 0
            longest = max(longest, self._row)
        return longest
