"""What was read of one partition and waits to be inserted, and the blocks it is cut into. Pure."""

from bisect import bisect_left
from collections.abc import Collection, Sequence

import msgspec

from producers.kafka.message import Message
from schemas.records import Event, Session
from stream_processors.imports import Imported, imported_of, is_import
from stream_processors.sink.ledger import Position, label_of_part

Row = Event | Session


class Part(msgspec.Struct, frozen=True):
    """Some rows of a partition in the order of the log; ``offsets`` runs beside ``rows``."""

    rows: Sequence[Row]
    offsets: Sequence[int]

    def positions(self) -> list[Position]:
        """Offset and index of each row. A session is the only row of its message."""
        return [
            (offset, row.index if isinstance(row, Event) else 0)
            for offset, row in zip(self.offsets, self.rows, strict=True)
        ]

    def without(self, stored: Collection[Position]) -> "Part":
        """The rows at other positions."""
        return self.at([number for number, position in enumerate(self.positions()) if position not in stored])

    def without_messages(self, offsets: Collection[int]) -> "Part":
        """The rows of other messages."""
        return self.at([number for number, offset in enumerate(self.offsets) if offset not in offsets])

    def imported(self, messages: Sequence[Message]) -> list[Imported]:
        """The imported messages among these, by their first row here."""
        imports = {message.offset for message in messages if message.headers and is_import(message)}
        if not imports:
            return []
        rows = zip(self.offsets, self.rows, strict=True)
        return imported_of([(offset, row) for offset, row in rows if isinstance(row, Event)], imports)

    def at(self, numbers: Sequence[int]) -> "Part":
        """The rows with these numbers, ascending."""
        return Part([self.rows[number] for number in numbers], [self.offsets[number] for number in numbers])

    def halves(self) -> tuple["Part", "Part"]:
        middle = len(self.rows) // 2
        return (
            Part(self.rows[:middle], self.offsets[:middle]),
            Part(self.rows[middle:], self.offsets[middle:]),
        )

    def label(self, refill: int = 0) -> str:
        """Its name within the partition (``ledger.label_of_part``)."""
        positions = Part([self.rows[0], self.rows[-1]], [self.offsets[0], self.offsets[-1]]).positions()
        return label_of_part(positions[0], positions[1], refill)


class Block(msgspec.Struct, frozen=True):
    """A contiguous range of one partition: offsets ``first`` to ``last``, both included, and the rows made of them.

    ``offsets`` runs beside ``rows``. Messages that gave no row (undecodable, passed holes) are in the range all the
    same. ``ingested_at`` (milliseconds UTC) is stamped once and kept over retries, so that a block is within one
    month and one table partition.
    """

    first: int
    last: int
    rows: Sequence[Row]
    offsets: Sequence[int]
    messages: Sequence[Message]
    ingested_at: int

    def part(self) -> Part:
        """All its rows."""
        return Part(self.rows, self.offsets)

    def message_at(self, offset: int) -> Message | None:
        return next((message for message in self.messages if message.offset == offset), None)


class Spool:
    """Rows in the order of the log; ``next`` is the first offset that is not in it."""

    __slots__ = ("_messages", "_offsets", "_rows", "_start", "bytes", "next", "since")

    def __init__(self, start: int) -> None:
        self._start = start
        self.next = start
        self._rows: list[Row] = []
        self._offsets: list[int] = []
        self._messages: list[Message] = []
        self.bytes = 0
        #: When the oldest thing in it came (seconds of the caller's clock), None while it is empty.
        self.since: float | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self, rows: list[Row], offsets: list[int], messages: Sequence[Message], size: int, end: int, now: float
    ) -> None:
        """Rows of messages up to offset ``end``, not included; ``size`` is the bytes of the messages."""
        self._rows += rows
        self._offsets += offsets
        self._messages += messages
        self.bytes += size
        self.next = end
        if self.since is None:
            self.since = now

    def cut(self, most_rows: int, most_bytes: int, ingested_at: int, now: float) -> Block | None:
        """The next block; None when nothing waits.

        A message is never split: one with more rows than ``most_rows`` makes a larger block.
        """
        if self.next == self._start:
            return None
        end = self._end_of_block(most_rows, most_bytes)
        if end == self.next:
            rows, offsets, messages = self._rows, self._offsets, self._messages
            self._rows, self._offsets, self._messages = [], [], []
        else:
            split = bisect_left(self._offsets, end)
            cut = bisect_left(self._messages, end, key=_offset_of)
            rows, offsets, messages = self._rows[:split], self._offsets[:split], self._messages[:cut]
            self._rows, self._offsets = self._rows[split:], self._offsets[split:]
            self._messages = self._messages[cut:]
        block = Block(self._start, end - 1, rows, offsets, messages, ingested_at)
        self._start = end
        self.bytes -= size_of(messages)
        self.since = now if end < self.next else None
        return block

    def _end_of_block(self, most_rows: int, most_bytes: int) -> int:
        """The first offset behind the next block."""
        end = self.next
        if len(self._rows) > most_rows:
            split = most_rows
            while split < len(self._rows) and self._offsets[split] == self._offsets[split - 1]:
                split += 1
            if split < len(self._rows):
                end = self._offsets[split]
        if self.bytes > most_bytes:
            size = 0
            for number, message in enumerate(self._messages):
                size += len(message.value or b"")
                if size > most_bytes and number:
                    return min(end, message.offset)
        return end


def _offset_of(message: Message) -> int:
    return message.offset


def size_of(messages: Sequence[Message]) -> int:
    """Bytes of the messages' values."""
    return sum(len(message.value) for message in messages if message.value is not None)
