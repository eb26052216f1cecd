"""Session keys that memory has let go, in three bytes each: a record of such a key must ask a store first.

Seldom a key that was never known looks as if it had been; one of the last half million that were let go always does.
So only records of keys that were known once cost a question (docs/decisions/0007).
"""

from collections.abc import Iterable
from mmap import mmap

#: Places of a table of 32 MiB; a place holds the generation that took it last. The three places of a key lie within 64
#: bytes: a key costs the one look into memory that takes longer than all the rest.
MASK = (1 << 25) - 1
_LINE = 63
_SECOND, _THIRD = 32, 40
_LAST_GENERATION = 255
#: Keys of a generation; those of the younger two are known.
MOST = 500_000


class Forgotten:
    """Shared by the session machines of one worker."""

    __slots__ = ("_count", "_generation", "_most", "places")

    def __init__(self, most: int = MOST) -> None:
        self._count = 0
        self._generation = 1
        self._most = most
        #: Empty, and so without memory, before the first key. A key whose place ``hash(key) & MASK`` is 0 is unknown.
        self.places: bytearray | mmap = bytearray()

    def add(self, keys: Iterable[bytes]) -> None:
        """Memory has let go of these keys."""
        if not self.places:
            # A bytearray would be filled with zeros: 36 ms, and all of its memory at the first key.
            self.places = mmap(-1, MASK + 1)
        places, generation = self.places, self._generation
        count = 0
        for count, key in enumerate(keys, 1):  # noqa: B007 - counted to the end
            number = hash(key)
            first = number & MASK
            places[first] = places[first ^ (number >> _SECOND & _LINE)] = generation
            places[first ^ (number >> _THIRD & _LINE)] = generation
        self._count += count
        if self._count >= self._most:
            self._count = 0
            self._generation += 1
            if self._generation > _LAST_GENERATION:
                self._generation, self.places = 1, bytearray()

    def __contains__(self, key: bytes) -> bool:
        if not self.places:
            return False
        number = hash(key)
        first = number & MASK
        if not self.places[first]:
            return False
        second, third = first ^ (number >> _SECOND & _LINE), first ^ (number >> _THIRD & _LINE)
        found = min(self.places[first], self.places[second], self.places[third])
        return found > 0 and found >= self._generation - 1
