"""Offsets that are missing in what was fetched.

The embedded broker publishes its high-water mark before a batch is stored: with several producers on one partition a
consumer at the tail can get batch B without the batch A before it (faust-microbatch: Tansu). The offsets of its logs
have no holes, so a hole is read again for a while, and only then believed.
"""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from schemas import topics
from schemas.settings import Kafka

_COMPACTED = frozenset(t.name for t in topics.all_topics() if t.compacted)


def expects_no_holes(kafka: Kafka, topic: str) -> bool:
    """Whether a hole in this topic's offsets means that records are missing.

    On Apache Kafka compaction and aborted transactions leave holes; the embedded broker has neither.
    """
    return kafka.contiguous and (kafka.embedded or topic not in _COMPACTED)


class HasOffset(Protocol):
    @property
    def offset(self) -> int: ...


M = TypeVar("M", bound=HasOffset)


class Gap(msgspec.Struct, frozen=True):
    """Offsets ``first`` to ``last``, both included, that were never delivered."""

    first: int
    last: int


class Checked(msgspec.Struct, Generic[M]):
    """What a fetch is worth: records to use now, the offset to read again from, and holes that were given up."""

    good: Sequence[M]
    seek_to: int | None = None
    passed: list[Gap] = []


class HoleCheck:
    """The check of one partition; pure, the caller passes the clock (seconds, any monotonic origin).

    ``seen`` counts holes met, whether they were filled later or passed.
    """

    __slots__ = ("_since", "expected", "seen", "wait_seconds")

    def __init__(self, wait_seconds: float, expected: int | None = None) -> None:
        self.wait_seconds = wait_seconds
        #: Next offset; None means that the first record decides where the log begins.
        self.expected = expected
        self.seen = 0
        #: The hole being waited for: its first offset, and when it was met.
        self._since: tuple[int, float] | None = None

    def feed(self, records: Sequence[M], now: float) -> Checked[M]:
        """Judge records of one fetch, ascending offsets. Records read twice are left out."""
        if not records:
            return Checked(records)
        expected = records[0].offset if self.expected is None else self.expected
        last = records[-1].offset
        if records[0].offset == expected and last - expected + 1 == len(records):
            self.expected = last + 1
            self._since = None
            return Checked(records)
        good: list[M] = []
        passed: list[Gap] = []
        for record in records:
            if record.offset < expected:
                continue
            if record.offset > expected:
                if not self._waited(expected, now):
                    break
                passed.append(Gap(expected, record.offset - 1))
                self._since = None
            good.append(record)
            expected = record.offset + 1
        self.expected = expected
        return Checked(good, expected if expected <= last else None, passed)

    def _waited(self, first: int, now: float) -> bool:
        """Whether the hole that begins here has been read again for long enough."""
        if self._since is None or self._since[0] != first:
            self._since = (first, now)
            self.seen += 1
        return now - self._since[1] >= self.wait_seconds
