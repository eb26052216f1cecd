"""Which records still wait for their partner: the group's commit must not pass the oldest of them."""

from heapq import heappop, heappush


class HeldOffsets:
    """Per session key, the offset in ``connections`` of the oldest record that waits, and since when it does."""

    def __init__(self) -> None:
        self._held: dict[bytes, tuple[int, int]] = {}
        #: (offset, key); entries that no longer hold are dropped when they reach the top.
        self._order: list[tuple[int, bytes]] = []

    def hold(self, key: bytes, offset: int, now: int) -> None:
        """Wait from ``offset`` on, since processing time ``now``; what the same key holds already stays."""
        if key not in self._held:
            self._held[key] = (offset, now)
            heappush(self._order, (offset, key))

    def release(self, key: bytes) -> bool:
        """Stop waiting; false when the key did not wait."""
        return self._held.pop(key, None) is not None

    def holds(self, key: bytes) -> bool:
        return key in self._held

    def since_before(self, time: int) -> list[bytes]:
        """Keys that have waited since before ``time``, processing time in microseconds UTC."""
        return [key for key, (_, since) in self._held.items() if since < time]

    @property
    def oldest(self) -> int | None:
        """Smallest offset that is held, None when nothing is."""
        while self._order:
            offset, key = self._order[0]
            if self._held.get(key, (-1, 0))[0] == offset:
                return offset
            heappop(self._order)
        return None
