"""What this process knows of now: channels, whoever listens to them, and the reader that fills them.

The reader runs while there is a subscription; nothing of Kafka is read for nobody. No client waits for another: the
reader only marks what is new, each client takes it in a task of its own.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec
import structlog
from aiohttp import web

from query_api.limits import Gate
from query_api.live.channel import Channel, Subscription, Window
from query_api.live.items import VIEWS, Item, View
from query_api.live.matching import Wish
from schemas.settings import Kafka

if TYPE_CHECKING:
    from query_api.live.follower import Follower

log = structlog.get_logger()

#: Seconds that a new client's answer waits for the reader; where Kafka is away longer the client is let in, and gets
#: what comes from Kafka's return on.
_BEGIN_SECONDS = 3.0
#: Clients that are sent to in one round of the event loop.
_TURNS = 50
#: Clients that read from an earlier position at once: each is a client of Kafka meanwhile.
_CATCHING_UP = 8


class _Listening(msgspec.Struct):
    """``touched``: channels with records that their clients were not told of."""

    channels: dict[Wish, Channel] = msgspec.field(default_factory=dict)
    touched: set[Channel] = msgspec.field(default_factory=set)
    #: Subscriptions that need each record's position.
    placed: int = 0


class Tail:
    """One for the process. ``places`` and ``of_one``: clients at once, and of one credential."""

    def __init__(self, kafka: Kafka, places: int, of_one: int) -> None:
        self.kafka = kafka
        self.gate = Gate(places, of_one, "live clients are connected")
        self.catching_up = Gate(_CATCHING_UP, _CATCHING_UP // 2, "clients catch up")
        self._views = {view: _Listening() for view in VIEWS}
        self._window = Window()
        self._follower: Follower | None = None
        self._following: asyncio.Task[None] | None = None
        #: Readers that nobody listens to any more, until they have left Kafka.
        self._leaving: set[asyncio.Task[None]] = set()
        #: Clients that were sent to in this round of the event loop.
        self._turns = 0
        #: Done when the server is about to end.
        self._ending: asyncio.Future[None] | None = None

    @property
    def ending(self) -> asyncio.Future[None]:
        """Done when clients have to go, because the server ends."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_future()
        return self._ending

    def subscribe(
        self, view: View, wish: Wish, wake: asyncio.Event, *, placed: bool = False, lost: int = 0
    ) -> Subscription:
        """What is taken from now on; the rest as ``Subscription`` has it. Raises BadRequestError."""
        listening = self._views[view]
        channel = listening.channels.get(wish)
        if channel is None:
            channel = listening.channels[wish] = Channel(wish)
        subscription = Subscription(channel, wake, placed=placed, lost=lost)
        channel.subscriptions.add(subscription)
        listening.placed += placed
        self._start()
        return subscription

    def unsubscribe(self, view: View, subscription: Subscription) -> None:
        listening = self._views[view]
        channel = subscription.channel
        channel.subscriptions.discard(subscription)
        listening.placed -= subscription.placed
        if not channel.subscriptions:
            listening.channels.pop(channel.wish, None)
            listening.touched.discard(channel)
        if not any(each.channels for each in self._views.values()):
            self._stop()

    async def turn(self) -> None:
        """Returns when this client may be sent to: only so many at once, then it is the turn of whoever asks something
        of this server."""
        while self._turns >= _TURNS:  # noqa: ASYNC110 - a turn is as long as what is done in it
            await asyncio.sleep(0)
        if not self._turns:
            asyncio.get_running_loop().call_soon(self._next_turns)
        self._turns += 1

    def _next_turns(self) -> None:
        self._turns = 0

    async def begun(self) -> bool:
        """Whether the reader knows where it is; waits for that a moment."""
        if self._follower is None:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BEGIN_SECONDS):
                await self._follower.ready.wait()
        return self._follower is not None and self._follower.ready.is_set()

    @property
    def follower(self) -> "Follower | None":
        """The reader once it knows where it is."""
        return self._follower if self._follower is not None and self._follower.ready.is_set() else None

    async def end(self) -> None:
        """Tell all clients to go."""
        if not self.ending.done():
            self.ending.set_result(None)

    async def close(self) -> None:
        self._stop()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _start(self) -> None:
        if self._following is not None and not self._following.done():
            return
        # Imported here: the API listens before the Kafka client is loaded.
        from query_api.live.follower import Follower

        self._follower = Follower(self.kafka, self._take, self._told, self._skipped)
        self._follower.positions_wanted = lambda view: self._views[view].placed > 0
        self._following = asyncio.create_task(self._follower.run())
        self._leaving.add(self._following)
        self._following.add_done_callback(self._ended)

    def _stop(self) -> None:
        self._window.clear()
        self._follower = None
        if self._following is not None:
            self._following.cancel()
            self._following = None

    def _ended(self, following: asyncio.Task[None]) -> None:
        self._leaving.discard(following)
        if not following.cancelled() and (error := following.exception()) is not None:
            # A bug of ours: whoever listens would wait for nothing, so all begin anew.
            log.error("live records are read no more", exc_info=error)
            if not self.ending.done():
                self.ending.set_result(None)
                self._ending = None

    def _take(self, item: Item) -> None:
        listening = self._views[item.view]
        wanted = False
        for channel in listening.channels.values():
            if channel.offer(item):
                wanted = True
                listening.touched.add(channel)
        if wanted:
            self._window.add(item)

    def _told(self) -> None:
        for listening in self._views.values():
            for channel in listening.touched:
                for subscription in channel.subscriptions:
                    subscription.wake.set()
            listening.touched.clear()

    def _skipped(self, view: View, messages: int) -> None:
        listening = self._views[view]
        for channel in listening.channels.values():
            channel.skip(messages)
            listening.touched.add(channel)


TAIL = web.AppKey("tail", Tail)
