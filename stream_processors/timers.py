"""Deadlines in event time, in buckets of one second.

Setting, moving and cancelling cost a constant; expiring costs the entries that are due and a logarithm per bucket.
Scanning all open sessions instead would cost every batch what a million sessions cost.
"""

from heapq import heappop, heappush

from schemas.times import SECOND


class Wheel:
    """Keys with a deadline each, for one sensor. A key is in one bucket at most: the caller remembers which."""

    __slots__ = ("_buckets", "_order")

    def __init__(self) -> None:
        self._buckets: dict[int, dict[bytes, None]] = {}
        self._order: list[int] = []

    def set(self, key: bytes, deadline: int) -> int:
        """Put ``key`` in the bucket that is due at or after ``deadline`` (microseconds); returns the bucket."""
        bucket = -(-deadline // SECOND)
        keys = self._buckets.get(bucket)
        if keys is None:
            keys = self._buckets[bucket] = {}
            heappush(self._order, bucket)
        keys[key] = None
        return bucket

    def cancel(self, key: bytes, bucket: int) -> None:
        """Take ``key`` out of ``bucket``; nothing happens when it is not there."""
        keys = self._buckets.get(bucket)
        if keys is not None:
            keys.pop(key, None)

    def due(self, now: int) -> list[bytes]:
        """Remove and return all keys whose bucket lies at or before ``now`` (microseconds), earliest bucket first."""
        found: list[bytes] = []
        order = self._order
        while order and order[0] * SECOND <= now:
            found.extend(self._buckets.pop(heappop(order)))
        return found
