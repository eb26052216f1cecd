"""From one reader to many clients, in bounded memory: who is slow loses the oldest records, and knows how many.

Clients with the same wish share a channel, so a record is matched, written and framed once for all of them. A channel
keeps its latest records; a subscription is a place in it. The window bounds what all channels keep together: a record
that leaves it counts as lost wherever it still waits.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

import msgspec

from query_api.live.items import Item
from query_api.live.matching import Matcher, Wish

#: Records that a channel keeps, so what a slow client may be behind.
KEPT_RECORDS = 1000
#: Bytes of messages that all channels keep together.
KEPT_BYTES = 32 << 20
#: What a client gets at once: records, and bytes of their messages from which on no more are added.
BATCH_RECORDS, BATCH_BYTES = 250, 128 << 10
#: Frames kept for the other clients at the same place.
_FRAMES = 3


class Window:
    """The latest records that anybody waits for, at most ``limit`` bytes of them."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._items: deque[Item] = deque()
        self._bytes = 0

    def add(self, item: Item) -> None:
        self._items.append(item)
        self._bytes += item.size
        while self._bytes > self._limit or len(self._items) > self._limit // 256:
            oldest = self._items.popleft()
            self._bytes -= oldest.size
            oldest.drop()

    def clear(self) -> None:
        self._items.clear()
        self._bytes = 0


class Batch(msgspec.Struct, frozen=True):
    """``lost``: records that were gone before the first of ``items``. ``place`` names the batch within its channel."""

    items: list[Item]
    lost: int
    place: Hashable

    def __bool__(self) -> bool:
        return bool(self.items or self.lost)


class Channel:
    """Records that fit one wish, the latest ``kept`` of them. Raises BadRequestError for a wish that is no RE2."""

    def __init__(self, wish: Wish, kept: int = KEPT_RECORDS) -> None:
        self.wish = wish
        self.subscriptions: set[Subscription] = set()
        self._matcher = Matcher(wish)
        self._items: deque[Item] = deque(maxlen=kept)
        #: Number of the next record, counted from 0.
        self._next = 0
        #: Messages that the reader left out, whether they would have fitted or not.
        self._skipped = 0
        self._frames: OrderedDict[Hashable, bytes] = OrderedDict()

    def offer(self, item: Item) -> bool:
        """Whether the record fits, and is kept."""
        if not self._matcher.matches(item.sensor, item.code, item.text):
            return False
        self._items.append(item)
        self._next += 1
        return True

    def skip(self, messages: int) -> None:
        """Tell everybody that so many messages were not looked at."""
        self._skipped += messages

    def frame(self, name: Hashable, make: Callable[[], bytes]) -> bytes:
        """What ``make`` makes, or made a moment ago for somebody else."""
        if len(self.subscriptions) < 2:
            return make()
        found = self._frames.get(name)
        if found is None:
            found = self._frames[name] = make()
            if len(self._frames) > _FRAMES:
                self._frames.popitem(last=False)
        return found

    def take(self, position: int, skipped: int) -> tuple[Batch, int, int]:
        """What comes from number ``position`` on, for one who knows of so many ``skipped``; and both anew."""
        first = self._next - len(self._items)
        lost = self._skipped - skipped
        if position < first:
            lost += first - position
            position = first
        items: list[Item] = []
        size = 0
        begun = position
        while position < self._next and len(items) < BATCH_RECORDS and size < BATCH_BYTES:
            item = self._items[position - first]
            if not item.dropped:
                items.append(item)
                size += item.size
            elif items:
                # Told with the next batch, so that it is told in its place.
                break
            else:
                lost += 1
            position += 1
        return Batch(items, lost, (begun, position, lost)), position, self._skipped

    @property
    def end(self) -> tuple[int, int]:
        """Where somebody begins who wants what comes from now on."""
        return self._next, self._skipped


class Subscription:
    """A client's place in a channel; ``wake`` is set when there is more to take. Knows nothing of connections."""

    def __init__(self, channel: Channel, wake: asyncio.Event, *, placed: bool = False, lost: int = 0) -> None:
        """``placed``: each record comes with its position. ``lost``: records that the client missed before."""
        self.channel = channel
        self.wake = wake
        self.placed = placed
        self._position, skipped = channel.end
        self._skipped = skipped - lost

    @property
    def waiting(self) -> int:
        """Records that were not taken yet, those that are lost among them."""
        position, skipped = self.channel.end
        return position - self._position + skipped - self._skipped

    def take(self) -> Batch:
        """The next records, at most a batch of them; an empty batch when there are none."""
        batch, self._position, self._skipped = self.channel.take(self._position, self._skipped)
        return batch
