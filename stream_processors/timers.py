"""Deadlines in event time, per sensor, in buckets of one second.

Setting, moving and cancelling cost a constant; expiring costs the entries that are due and a logarithm per bucket.
Scanning all open sessions instead would cost every batch what a million sessions cost.
"""

from heapq import heappop, heappush

from schemas.times import SECOND


class Wheels:
    """Session keys with one deadline each. Every sensor has a wheel of its own, turned by its watermark."""

    def __init__(self) -> None:
        self._wheels: dict[str, _Wheel] = {}
        #: The bucket a key stands in, so that it can be moved and cancelled without a search.
        self._places: dict[bytes, tuple[_Wheel, int]] = {}

    def set(self, sensor: str, key: bytes, deadline: int) -> None:
        """Give ``key`` the one deadline (microseconds UTC) it has from now on."""
        bucket = -(-deadline // SECOND)
        place = self._places.get(key)
        if place is not None:
            if place[1] == bucket:
                return
            place[0].remove(key, place[1])
        wheel = self._wheels.get(sensor)
        if wheel is None:
            wheel = self._wheels[sensor] = _Wheel()
        wheel.add(key, bucket)
        self._places[key] = (wheel, bucket)

    def cancel(self, key: bytes) -> None:
        """Take the deadline of ``key`` away; nothing happens when it has none."""
        place = self._places.pop(key, None)
        if place is not None:
            place[0].remove(key, place[1])

    def due(self, sensor: str, watermark: int) -> list[bytes]:
        """Remove and return the keys of ``sensor`` that are due, earliest bucket first."""
        wheel = self._wheels.get(sensor)
        if wheel is None:
            return []
        found = wheel.pop(watermark)
        for key in found:
            del self._places[key]
        return found


class _Wheel:
    __slots__ = ("_buckets", "_order")

    def __init__(self) -> None:
        self._buckets: dict[int, dict[bytes, None]] = {}
        self._order: list[int] = []

    def add(self, key: bytes, bucket: int) -> None:
        keys = self._buckets.get(bucket)
        if keys is None:
            keys = self._buckets[bucket] = {}
            heappush(self._order, bucket)
        keys[key] = None

    def remove(self, key: bytes, bucket: int) -> None:
        self._buckets[bucket].pop(key, None)

    def pop(self, watermark: int) -> list[bytes]:
        found: list[bytes] = []
        order = self._order
        while order and order[0] * SECOND <= watermark:
            found.extend(self._buckets.pop(heappop(order)))
        return found
