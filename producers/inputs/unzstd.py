"""Unpacking a zstd stream as its bytes come, a bounded piece at a time."""

import sys
from collections.abc import Iterator

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

__all__ = ["MAGIC", "Unzstd", "ZstdError"]

MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 20


class Unzstd:
    """Chunks of a zstd file of one or more frames to its content; ``feed`` raises ZstdError where it is broken."""

    def __init__(self) -> None:
        self._frame = ZstdDecompressor()
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Pieces of at most 1 MiB, however well the chunk was packed."""
        while chunk or (self._begun and not self._frame.needs_input):
            self._begun = True
            piece = self._frame.decompress(chunk, _PIECE)
            if piece:
                yield piece
            # What a frame did not take yet it keeps itself.
            chunk = b""
            if self._frame.eof:
                chunk = self._frame.unused_data
                self._frame = ZstdDecompressor()
                self._begun = False

    @property
    def complete(self) -> bool:
        """The stream may end here: no frame is unfinished."""
        return not self._begun
