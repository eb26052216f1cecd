"""Server-sent events: ``GET /events/stream`` and ``GET /sessions/stream``, one row each, with a way to go on."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from query_api.auth.doors import ACCESS
from query_api.auth.principal import principal_of
from query_api.dialects.honeytrap.records import writer
from query_api.dialects.honeytrap.request import NUMBER, SIZE, Request, parse
from query_api.dialects.honeytrap.socket import PING_SECONDS, SILENCE_SECONDS, bound_send_buffer
from query_api.documents import json_object, query_pairs
from query_api.errors import ApiError, BadRequestError
from query_api.live.channel import Batch, Subscription
from query_api.live.items import Item, View
from query_api.live.matching import Matcher, Wish
from query_api.live.positions import HEADER, Positions, read_positions
from query_api.live.tail import TAIL
from query_api.owners import owner_of

if TYPE_CHECKING:
    from aiokafka import TopicPartition

#: Milliseconds after which a client comes back, as it is told.
_RETRY = 2000


async def events_stream(request: web.Request) -> web.StreamResponse:
    return await _stream(request, "events")


async def sessions_stream(request: web.Request) -> web.StreamResponse:
    return await _stream(request, "sessions")


async def _stream(request: web.Request, view: View) -> web.StreamResponse:
    asked = parse(json_object(await request.read()), query_pairs(request.rel_url.raw_query_string))
    if asked.page is not None:
        raise BadRequestError(f"a stream has no pages: {SIZE} and {NUMBER} do not go here", field=SIZE)
    given = request.headers.get(HEADER, "")
    start = read_positions(given) if given else None
    tail, principal = request.app[TAIL], principal_of(request)
    with tail.gate.place(principal), contextlib.ExitStack() as catching_up:
        stream = _Stream(request, view, asked)
        try:
            if start is None:
                stream.listen()
                await tail.begun()
            else:
                catching_up.enter_context(tail.catching_up.place(principal))
            await stream.serve(start, catching_up)
        finally:
            stream.leave()
    return stream.response


class _Stream:
    """One client, until it leaves, takes nothing for too long, its credential ends, or the server does."""

    def __init__(self, request: web.Request, view: View, asked: Request) -> None:
        self._request = request
        self._view = view
        self._principal = principal_of(request)
        self._tail = request.app[TAIL]
        self._wake = asyncio.Event()
        self._write = writer(asked.rfc3339)
        self._wish = Wish(asked.codes, asked.kinds, asked.sensors, self._principal.sensors)
        self._matcher = Matcher(self._wish)
        self._subscription: Subscription | None = None
        self._sent = 0.0
        self._checked = time.monotonic()
        self.response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                # Proxies that gather an answer before they pass it on.
                "X-Accel-Buffering": "no",
            }
        )

    def listen(self) -> None:
        """What is taken from now on."""
        self._subscription = self._tail.subscribe(self._view, self._wish, self._wake, placed=True)

    def leave(self) -> None:
        if self._subscription is not None:
            self._tail.unsubscribe(self._view, self._subscription)

    async def serve(self, start: Positions | None, catching_up: contextlib.ExitStack) -> None:
        """``catching_up`` is closed when that is done."""
        await self.response.prepare(self._request)
        bound_send_buffer(self._request)
        serving = asyncio.create_task(self._serve(start, catching_up))
        try:
            await asyncio.wait({serving, self._tail.ending}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        except (TimeoutError, ConnectionError):
            # It has gone, or takes nothing: what it did not take is not kept for it.
            if self._request.transport is not None:
                self._request.transport.abort()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def _serve(self, start: Positions | None, catching_up: contextlib.ExitStack) -> None:
        await self._send(b"retry: %d\n\n" % _RETRY)
        if start is not None:
            await self._catch_up(start)
            catching_up.close()
        # So that a client to which nothing came yet can come back, too.
        self._sent = 0.0
        while self._subscription is not None and self._counts():
            await self._tail.turn()
            if batch := self._subscription.take():
                await self._send(self._frame(self._subscription, batch))
                continue
            follower = self._tail.follower
            # Nothing waits: everything up to here was given, or did not fit.
            place = follower.positions(self._view) if follower is not None else b""
            if time.monotonic() - self._sent >= PING_SECONDS:
                await self._send(_place(place) if place else b":\n\n")
            await self._woken()

    async def _woken(self) -> None:
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _catch_up(self, start: Positions) -> None:
        # Imported here: the API listens before the Kafka client is loaded.
        from query_api.live.catching_up import CatchingUp

        reading = CatchingUp(self._tail.kafka, self._view, start, self._join)
        async with contextlib.aclosing(reading.pieces()) as pieces:
            async for piece in pieces:
                rows = [item for item in piece.items if self._matcher.matches(item.sensor, item.code, item.text)]
                if rows or piece.lost:
                    await self._send(self._written(rows, piece.lost))
                elif time.monotonic() - self._sent >= PING_SECONDS:
                    await self._send(_place(reading.position))
                if not self._counts():
                    return

    def _join(self) -> "Mapping[TopicPartition, tuple[str, int]]":
        """Listens from now on, and says where that is; nothing before the shared reader knows."""
        former = self._subscription
        self.listen()
        if former is not None:
            self._tail.unsubscribe(self._view, former)
        follower = self._tail.follower
        return follower.reached(self._view) if follower is not None else {}

    def _counts(self) -> bool:
        """Whether the credential still does; looked at now and then."""
        if time.monotonic() - self._checked < PING_SECONDS:
            return True
        self._checked = time.monotonic()
        try:
            return self._request.app[ACCESS].principal(self._request, owner_of(self._request.path)) == self._principal
        except ApiError:
            return False

    def _frame(self, subscription: Subscription, batch: Batch) -> bytes:
        return subscription.channel.frame(
            (batch.place, self._write, "stream"), lambda: self._written(batch.items, batch.lost)
        )

    def _written(self, items: list[Item], lost: int) -> bytes:
        told = [b'event: lost\ndata: {"lost":%d}\n\n' % lost] if lost else []
        return b"".join(told + [_row(item.position, item.body(self._write)) for item in items])

    async def _send(self, text: bytes) -> None:
        """Raises TimeoutError when the client takes nothing."""
        async with asyncio.timeout(SILENCE_SECONDS):
            await self.response.write(text)
        self._sent = time.monotonic()


def _row(position: bytes, body: bytes) -> bytes:
    return b"id: %b\ndata: %b\n\n" % (position, body)


def _place(position: bytes) -> bytes:
    """Without data it is no event, but the client remembers the id."""
    return b"id: %b\n\n" % position if position else b":\n\n"
