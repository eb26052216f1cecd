"""Which records still wait for their partner: the group's commit must not pass the oldest of them."""

from heapq import heappop, heappush


class HeldOffsets:
    """Per session key, the offset in ``connections`` of the oldest record that waits."""

    def __init__(self) -> None:
        self._offsets: dict[bytes, int] = {}
        #: (offset, key); entries that no longer hold are dropped when they reach the top.
        self._order: list[tuple[int, bytes]] = []

    def hold(self, key: bytes, offset: int) -> None:
        """Wait from ``offset`` on; an older offset of the same key stays."""
        if self._offsets.setdefault(key, offset) == offset:
            heappush(self._order, (offset, key))

    def release(self, key: bytes) -> bool:
        """Stop waiting; false when the key did not wait."""
        return self._offsets.pop(key, None) is not None

    def holds(self, key: bytes) -> bool:
        return key in self._offsets

    @property
    def oldest(self) -> int | None:
        """Smallest offset that is held, None when nothing is."""
        while self._order:
            offset, key = self._order[0]
            if self._offsets.get(key) == offset:
                return offset
            heappop(self._order)
        return None
