"""Session keys that memory has let go, in a few bits each: a record of such a key must ask a store first.

A key that is not among them may look as if it were, seldom; one that is always does. So only records of keys that were
known once cost a question (hard-questions: how long closed keys are kept).
"""


class Forgotten:
    """Two bitmaps in turn: when the younger is full, the older one is dropped."""

    __slots__ = ("_count", "_mask", "_most", "_older", "_younger", "any")

    def __init__(self, bits: int = 27) -> None:
        """``bits``: logarithm of a bitmap's size; 27 are 16 MiB, full with 4 million keys."""
        self._mask = (1 << bits) - 1
        self._most = 1 << bits - 5
        self._count = 0
        # No memory before the first key.
        self._younger = self._older = b""  # type: bytes | bytearray
        #: Whether any key was added.
        self.any = False

    def add(self, key: bytes) -> None:
        if self._count == self._most or not self.any:
            self._older, self._younger, self._count = self._younger, bytearray(self._mask + 1 >> 3), 0
            self.any = True
        place = hash(key) & self._mask
        self._younger[place >> 3] |= 1 << (place & 7)  # type: ignore[index]
        self._count += 1

    def __contains__(self, key: bytes) -> bool:
        place = hash(key) & self._mask
        byte, bit = place >> 3, 1 << (place & 7)
        if self.any and self._younger[byte] & bit:
            return True
        return bool(self._older) and bool(self._older[byte] & bit)
