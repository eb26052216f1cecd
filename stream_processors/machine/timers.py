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
        self._places: dict[bytes, _Place] = {}

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
        self._places[key] = wheel.add(key, bucket)

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
        #: Per bucket its keys, and the one place object that they share.
        self._buckets: dict[int, tuple[dict[bytes, None], _Place]] = {}
        self._order: list[int] = []

    def add(self, key: bytes, bucket: int) -> "_Place":
        found = self._buckets.get(bucket)
        if found is None:
            found = self._buckets[bucket] = ({}, (self, bucket))
            heappush(self._order, bucket)
        found[0][key] = None
        return found[1]

    def remove(self, key: bytes, bucket: int) -> None:
        self._buckets[bucket][0].pop(key, None)

    def pop(self, watermark: int) -> list[bytes]:
        found: list[bytes] = []
        order = self._order
        while order and order[0] * SECOND <= watermark:
            found.extend(self._buckets.pop(heappop(order))[0])
        return found


_Place = tuple[_Wheel, int]
