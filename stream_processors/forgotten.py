"""Session keys that memory has let go, in two bytes each: a record of such a key must ask a store first.

Seldom a key that was never known looks as if it had been; one of the last half million that were let go always does.
So only records of keys that were known once cost a question (docs/decisions/0007).
"""

from collections.abc import Iterable

#: Places of a table of 32 MiB; a key has two of them, and a place holds the generation that took it last.
MASK = (1 << 25) - 1
_SECOND = 32
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
        self.places = bytearray()

    def add(self, keys: Iterable[bytes]) -> None:
        """Memory has let go of these keys."""
        if not self.places:
            self.places = bytearray(MASK + 1)
        places, generation = self.places, self._generation
        for key in keys:
            number = hash(key)
            places[number & MASK] = places[number >> _SECOND & MASK] = generation
            self._count += 1
        if self._count >= self._most:
            self._count = 0
            self._generation += 1
            if self._generation > _LAST_GENERATION:
                self._generation, self.places = 1, bytearray()

    def __contains__(self, key: bytes) -> bool:
        if not self.places:
            return False
        number = hash(key)
        found = min(self.places[number & MASK], self.places[number >> _SECOND & MASK])
        return found > 0 and found >= self._generation - 1
