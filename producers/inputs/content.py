"""One file's content as it is read in pieces: its lines, their ids, and the position that follows them."""

import os
from collections.abc import Callable
from typing import BinaryIO

from producers.batch import Batch
from producers.inputs.lines import Line, LineSplitter
from producers.inputs.positions import HEAD, Position, Positions, digest_of
from producers.inputs.tables import Table, converted
from producers.record_ids import RecordIds

#: Takes the lines' ids as publishing them would.
Identify = Callable[[list[Line], RecordIds], None]


class Content:
    """From a position on. ``at`` is the number of bytes that were fed, and those before."""

    def __init__(self, position: Position, table: Table, longest: int, positions: Positions) -> None:
        self.position = position
        self.ids = RecordIds()
        self.at = position.offset
        self.head = b""
        self._lines = position.lines
        self._table = table
        self._positions = positions
        self._splitter = LineSplitter(longest)
        self._splitter.go_on(position.lines)
        self._turns = 0
        self._recent_from = position.counted_from

    def recall(self, lines: list[Line], identify: Identify) -> None:
        """Lines that were published before: what they say about those that come."""
        identify(converted(lines, self._table), self.ids)

    def recall_header(self, header: bytes) -> None:
        """How the file begins: names of columns."""
        if header.lstrip()[:1] != b"{":
            converted(LineSplitter(len(header)).feed(header), self._table)

    def feed(self, chunk: bytes) -> Batch | None:
        """The lines that this chunk ends."""
        self.at += len(chunk)
        if len(self.head) < HEAD:
            self.head += chunk[: HEAD - len(self.head)]
        return self._batch(self._splitter.feed(chunk))

    def end(self) -> Batch | None:
        """What is left without a line end, when nobody can write there any more."""
        return self._batch(self._splitter.end(), ended=True)

    def _batch(self, lines: list[Line], ended: bool = False) -> Batch | None:
        began, end = self.position.offset, self.at - self._splitter.pending
        self._lines += len(lines)
        count, head = self._lines, self.head[:end]

        def delivered() -> None:
            position = self.position
            if self.ids.turns != self._turns:
                self._turns = self.ids.turns
                position.counted_from, self._recent_from = self._recent_from, began
            position.offset, position.lines, position.ended = end, count, ended
            if position.head_size < len(head):
                position.head_size, position.head = len(head), digest_of(head)
            self._positions.moved(position)

        if lines:
            return Batch(self.position.path, converted(lines, self._table), self.ids, delivered)
        if ended:
            delivered()
        return None


class Tail:
    """A plain file that is held open."""

    def __init__(self, file: BinaryIO, content: Content) -> None:
        self.file = file
        self.content = content
        #: When another file was seen under its name, on the monotonic clock; its writer may not know yet.
        self.replaced: float | None = None

    def truncated(self) -> bool:
        """Written anew from its beginning; that it is long again already does not hide it."""
        descriptor = self.file.fileno()
        head = self.content.head
        return os.fstat(descriptor).st_size < self.content.at or os.pread(descriptor, len(head), 0) != head
