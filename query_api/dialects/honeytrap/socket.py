"""Honeytrap's WebSocket, ``GET /ws`` (honeytrap-facts 4.4): requests with replies, and what is new unasked."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from query_api.auth.doors import ACCESS
from query_api.auth.principal import principal_of
from query_api.dialects.honeytrap import message
from query_api.dialects.honeytrap.message import Asked, MessageError
from query_api.dialects.honeytrap.pages import EVENTS_VIEW, SESSIONS_VIEW, listing
from query_api.dialects.honeytrap.records import writer
from query_api.dialects.honeytrap.request import NUMBER, SIZE, Request
from query_api.errors import ApiError, UpgradeRequiredError
from query_api.keys import GATE, reader_of
from query_api.listing import read_page
from query_api.live.channel import BATCH_RECORDS, KEPT_RECORDS, Batch, Subscription
from query_api.live.items import VIEWS, View
from query_api.live.matching import Matcher, Wish
from query_api.live.tail import TAIL
from query_api.owners import owner_of
from query_api.paging import Page

#: Seconds between pings, as the product sends them; then too it is looked whether the credential still counts.
PING_SECONDS = 5.0
#: Seconds without any sign of life, and in which a client takes nothing of what is sent, after which it is let go.
SILENCE_SECONDS = 60.0
#: Rows of a reply without a page (hard-questions: WebSocket replies).
REPLY_ROWS = 1000
#: Bytes that the kernel holds for a client: what is in there is old by the time a slow client reads it.
SEND_BUFFER = 256 << 10
#: Bytes of a request; the largest one that makes sense is two lists of a hundred regexes.
_REQUEST_BYTES = 1 << 20
_GOODBYE_SECONDS = 1.0
#: Batches that a client may still take of what it asked for before: as many as wait at most.
_LAST_BATCHES = -(-KEPT_RECORDS // BATCH_RECORDS)

_VIEWS = {"events": EVENTS_VIEW, "sessions": SESSIONS_VIEW}


async def websocket(request: web.Request) -> web.StreamResponse:
    """One client, until it leaves, is silent for too long, its credential ends, or the server does."""
    response = web.WebSocketResponse(
        autoping=False, compress=False, max_msg_size=_REQUEST_BYTES, timeout=_GOODBYE_SECONDS
    )
    if not response.can_prepare(request):
        raise UpgradeRequiredError("this path speaks WebSocket (version 13) only")
    as_text = message.frames_are_text(request)
    tail = request.app[TAIL]
    with tail.gate.place(principal_of(request)):
        client = _Client(request, response, as_text)
        try:
            await tail.begun()
            await response.prepare(request)
            bound_send_buffer(request)
            code, words = await client.serve()
        finally:
            client.leave()
        gone = code == WSCloseCode.ABNORMAL_CLOSURE or not await _closed(response, code, words)
        if gone and request.transport is not None:
            # What it did not take is not kept for it.
            request.transport.abort()
    return response


async def _closed(response: web.WebSocketResponse, code: int, words: str) -> bool:
    """Whether the client took the goodbye."""
    try:
        async with asyncio.timeout(2 * _GOODBYE_SECONDS):
            await response.close(code=code, message=words.encode())
    except (TimeoutError, ConnectionError):
        return False
    return True


def bound_send_buffer(request: web.Request) -> None:
    """Little is under way to a client that does not read: what it misses is then told, not delivered late."""
    connection = request.transport.get_extra_info("socket") if request.transport is not None else None
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


class _Client:
    """Requests are answered one after the other, beside the pushes."""

    def __init__(self, request: web.Request, response: web.WebSocketResponse, as_text: bool) -> None:
        self._request = request
        self._response = response
        self._as_text = as_text
        self._principal = principal_of(request)
        self._tail = request.app[TAIL]
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()
        self._seen = time.monotonic()
        self._rfc3339: dict[View, bool] = dict.fromkeys(VIEWS, False)
        everything = Wish(restriction=self._principal.sensors)
        self._subscriptions: dict[View, Subscription] = {
            view: self._tail.subscribe(view, everything, self._wake) for view in VIEWS
        }

    def leave(self) -> None:
        for view, subscription in self._subscriptions.items():
            self._tail.unsubscribe(view, subscription)

    async def serve(self) -> tuple[int, str]:
        """Until there is a reason to close: its code, and words."""
        listening = asyncio.create_task(self._listen())
        pushing = asyncio.create_task(self._push())
        reasons: set[asyncio.Future[Any]] = {listening, pushing, self._tail.ending}
        try:
            done, _ = await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, pushing):
                task.cancel()
            await asyncio.gather(listening, pushing, return_exceptions=True)
        for task in (listening, pushing):
            if task in done:
                with contextlib.suppress(ConnectionError):
                    return task.result()
                return WSCloseCode.ABNORMAL_CLOSURE, ""
        return WSCloseCode.GOING_AWAY, "the server ends"

    async def _listen(self) -> tuple[int, str]:
        while True:
            received = await self._response.receive()
            self._seen = time.monotonic()
            if received.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await self._send(await self._reply(received.data))
            elif received.type is WSMsgType.PING:
                async with self._sending:
                    await self._response.pong(received.data)
            elif received.type is not WSMsgType.PONG:
                return WSCloseCode.OK, ""

    async def _reply(self, sent: str | bytes) -> bytes:
        number = 0
        try:
            asked = message.read_request(sent)
            number = asked.number
            return await self._answer(asked)
        except MessageError as error:
            return message.error(error.number, str(error))
        except ApiError as error:
            return message.error(number, error.message)

    async def _answer(self, asked: Asked) -> bytes:
        """The rows; what comes later than they were read is pushed, so the pushes are asked for first."""
        await self._listen_for(asked.view, asked.request)
        page = asked.request.page
        with self._request.app[GATE].place(self._principal):
            total, matched, rows = await read_page(
                reader_of(self._request), listing(asked.request, _VIEWS[asked.view]), page or Page(REPLY_ROWS)
            )
        counts: Mapping[str, Any] = {"total": total, "matched": matched}
        if page is None:
            return message.reply(asked.view, rows, {**counts, "truncated": matched > REPLY_ROWS})
        return message.reply(asked.view, rows, {SIZE: page.size, NUMBER: page.number, **counts})

    async def _listen_for(self, view: View, request: Request) -> None:
        """The filters of a view's last request hold for its pushes. Raises BadRequestError."""
        wish = Wish(request.codes, request.kinds, request.sensors, self._principal.sensors)
        former = self._subscriptions[view]
        if former.channel.wish != wish:
            Matcher(wish)
            # What came before is pushed as it was asked for then; of a client too slow for that it is lost.
            for _ in range(_LAST_BATCHES):
                if not (batch := former.take()):
                    break
                await self._send(self._frame(view, former, batch))
            self._subscriptions[view] = self._tail.subscribe(view, wish, self._wake, lost=former.waiting)
            self._tail.unsubscribe(view, former)
        self._rfc3339[view] = request.rfc3339

    async def _push(self) -> tuple[int, str]:
        while True:
            ping = time.monotonic() + PING_SECONDS
            while (left := ping - time.monotonic()) > 0:
                if await self._woken(left):
                    await self._push_some()
            if time.monotonic() - self._seen > SILENCE_SECONDS:
                return WSCloseCode.GOING_AWAY, "no answer to pings"
            if lost := self._lost_credential():
                return WSCloseCode.POLICY_VIOLATION, lost
            async with self._sending:
                await self._response.ping()

    async def _woken(self, seconds: float) -> bool:
        """Whether there is something to take; waits for it so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    def _lost_credential(self) -> str:
        """Why this client may not listen any more; most often empty."""
        try:
            current = self._request.app[ACCESS].principal(self._request, owner_of(self._request.path))
        except ApiError as error:
            return error.message
        return "" if current == self._principal else "the credential was changed"

    async def _push_some(self) -> None:
        """A batch of each view, events first as the product does."""
        await self._tail.turn()
        for view in VIEWS:
            subscription = self._subscriptions[view]
            if batch := subscription.take():
                # There may be more; meanwhile it is the others' turn.
                self._wake.set()
                await self._send(self._frame(view, subscription, batch))
                self._seen = time.monotonic()

    def _frame(self, view: View, subscription: Subscription, batch: Batch) -> bytes:
        write = writer(self._rfc3339[view])
        return subscription.channel.frame(
            (batch.place, write), lambda: message.push(view, [item.body(write) for item in batch.items], batch.lost)
        )

    async def _send(self, frame: bytes) -> None:
        async with self._sending:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    if self._as_text:
                        await self._response.send_str(frame.decode())
                    else:
                        await self._response.send_bytes(frame)
            except TimeoutError:
                raise ConnectionResetError("the client takes nothing") from None
