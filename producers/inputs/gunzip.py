"""Unpacking a gzip stream as its bytes come, a bounded piece at a time."""

import zlib
from collections.abc import Iterator

MAGIC = b"\x1f\x8b"
_PIECE = 1 << 20
#: zlib reads a gzip header when 16 is added to the window's bits.
_GZIP = 16 + zlib.MAX_WBITS


class Gunzip:
    """Chunks of a gzip file of one or more members to its content; ``feed`` raises zlib.error where it is broken."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Pieces of at most 1 MiB, however well the chunk was packed."""
        while chunk := chunk if self._begun else chunk.lstrip(b"\0"):
            # Zeros between and after members are padding.
            self._begun = True
            piece = self._member.decompress(chunk, _PIECE)
            if piece:
                yield piece
            if self._member.eof:
                chunk = self._member.unused_data
                self._member = zlib.decompressobj(_GZIP)
                self._begun = False
            else:
                chunk = self._member.unconsumed_tail

    @property
    def complete(self) -> bool:
        """The stream may end here: no member is unfinished."""
        return not self._begun
