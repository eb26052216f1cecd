"""Which offset of each partition may be committed: pure bookkeeping of batches under way.

A batch may be committed when it and every batch before it have been processed, and never past the oldest record
that the session machine still holds (the floor): after a crash such a record must be read again.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

Partition = TypeVar("Partition", bound=Hashable)


class Batch(Protocol):
    """What the ledger needs to know of a batch; ``processed`` is set by whoever worked on it."""

    @property
    def last(self) -> int: ...
    @property
    def processed(self) -> bool: ...


class _Entry:
    __slots__ = ("committed", "expected", "floor", "position", "under_way")

    def __init__(self, position: int | None, committed: int | None, floor: int | None) -> None:
        self.position = position
        self.expected = position
        self.committed = committed
        self.floor = floor
        self.under_way: deque[Batch] = deque()


class Ledger(Generic[Partition]):
    """Offsets of the partitions assigned now. Offsets are those to read next, as Kafka commits them."""

    def __init__(self) -> None:
        self._entries: dict[Partition, _Entry] = {}

    def begin(self, partition: Partition, position: int | None, committed: int | None, floor: int | None) -> None:
        """Reading starts at ``position`` (None: wherever the log begins); what was under way before is forgotten."""
        self._entries[partition] = _Entry(position, committed, floor)

    def delivered(self, partition: Partition, batch: Batch) -> None:
        """A batch is handed to the agent; batches of one partition come in order."""
        entry = self._entries[partition]
        entry.under_way.append(batch)
        entry.expected = batch.last + 1

    def expected(self, partition: Partition) -> int | None:
        """Offset of the next record to deliver; None before the first one of a log that is read from its beginning."""
        entry = self._entries.get(partition)
        return entry.expected if entry else None

    def position(self, partition: Partition) -> int | None:
        """Offset behind the last record that was processed together with everything before it."""
        entry = self._entries.get(partition)
        return self._advance(entry) if entry else None

    def is_busy(self, partition: Partition) -> bool:
        """Whether batches of it are under way."""
        entry = self._entries.get(partition)
        if entry is None:
            return False
        self._advance(entry)
        return bool(entry.under_way)

    def hold(self, partition: Partition, floor: int | None) -> None:
        """Commit nothing from ``floor`` on; None lifts it. A partition that is gone is ignored."""
        entry = self._entries.get(partition)
        if entry:
            entry.floor = floor

    def due(self) -> dict[Partition, int]:
        """What should be committed now. A commit never goes back."""
        offsets = {}
        for partition, entry in self._entries.items():
            position = self._advance(entry)
            if position is None:
                continue
            offset = position if entry.floor is None else min(position, entry.floor)
            # Nothing to say before the first commit while nothing has been read.
            if offset > (entry.committed or 0):
                offsets[partition] = offset
        return offsets

    def committed(self, offsets: Iterable[tuple[Partition, int]]) -> None:
        """The broker has these offsets now."""
        for partition, offset in offsets:
            entry = self._entries.get(partition)
            if entry:
                entry.committed = offset

    def partitions(self) -> Sequence[Partition]:
        return list(self._entries)

    def clear(self) -> None:
        """Every partition is gone (a rebalance has begun)."""
        self._entries.clear()

    def _advance(self, entry: _Entry) -> int | None:
        under_way = entry.under_way
        while under_way and under_way[0].processed:
            entry.position = under_way.popleft().last + 1
        return entry.position
