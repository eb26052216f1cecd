"""Lines of a byte stream, numbered, each at most so long: memory stays bounded whatever the stream holds."""

import msgspec


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line without its end; ``value`` is None when it was longer than allowed, ``size`` is what it had."""

    number: int
    size: int
    value: bytes | None


class LineSplitter:
    """Cuts chunks into lines as they come. Lines end in LF or CRLF; a byte order mark at the very start is no text."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0
        self._number = 0

    def feed(self, chunk: bytes) -> list[Line]:
        """The lines that this chunk ends."""
        *ended, rest = chunk.split(b"\n")
        lines = []
        for part in ended:
            self._add(part)
            lines.append(self._take())
        if rest:
            self._add(rest)
        return lines

    def end(self) -> list[Line]:
        """The last line of a stream whose end has no line end; empty when nothing was left."""
        return [self._take()] if self._size else []

    def go_on(self, number: int) -> None:
        """The stream is one of which so many lines were read before."""
        self._parts, self._size, self._number = [], 0, number

    @property
    def pending(self) -> int:
        """Bytes fed that have no line end yet."""
        return self._size

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        # One byte more than allowed: it may be the CR of the line's end.
        if self._size <= self._longest + 1:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _take(self) -> Line:
        value: bytes | None = None
        size = self._size
        if size <= self._longest + 1:
            value = b"".join(self._parts).removesuffix(b"\r")
            if self._number == 0:
                value = value.removeprefix(b"\xef\xbb\xbf")
            size = len(value)
            if size > self._longest:
                value = None
        self._parts, self._size = [], 0
        self._number += 1
        return Line(self._number, size, value)
