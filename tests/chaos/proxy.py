"""A TCP proxy in front of ClickHouse that can cut a connection after a whole insert has been sent."""

import asyncio
import re
import socket
import struct
import threading
from concurrent.futures import Future
from enum import Enum

from deploy.addresses import Address

_INSERT = b"insert_deduplication_token"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Cut(Enum):
    """When the connection is cut; either way whoever inserts cannot know whether the rows are stored."""

    SENT = "when the body was sent; the server goes on"
    ANSWERED = "when the server has answered; its answer is lost"


class Proxy:
    """Listens on loopback in a thread of its own, from ``start`` to ``stop``."""

    def __init__(self, listen: Address, target: Address) -> None:
        self.url = f"http://{listen}"
        self.cuts = 0
        self._listen = listen
        self._target = target
        self._armed: list[Cut] = []
        #: The loop itself keeps only weak references to them.
        self._handling: set[asyncio.Task[None] | None] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")

    def start(self) -> None:
        self._thread.start()
        self._call(self._serve()).result(10)

    def stop(self) -> None:
        self._call(self._end()).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def arm(self, how: Cut, inserts: int) -> None:
        """Cut the connections of the next so many inserts."""
        self._loop.call_soon_threadsafe(self._armed.extend, [how] * inserts)

    def _call(self, coroutine: "asyncio._CoroutineLike[None]") -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _serve(self) -> None:
        self._server = await asyncio.start_server(self._handle, self._listen.host, self._listen.port)

    async def _end(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _handle(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._handling.add(asyncio.current_task())
        try:
            await self._pass_on(client, back)
        finally:
            self._handling.discard(asyncio.current_task())

    async def _pass_on(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            server, forth = await asyncio.open_connection(self._target.host, self._target.port)
        except OSError:
            _abort(back)
            return
        exchange = _Exchange(back)
        pumps = {
            asyncio.create_task(self._requests(client, forth, exchange)),
            asyncio.create_task(self._answers(server, back, exchange)),
        }
        try:
            # The first that ends ends both: each side sees the other's hang-up.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            _abort(forth)
            _abort(back)

    async def _requests(self, client: asyncio.StreamReader, forth: asyncio.StreamWriter, exchange: "_Exchange") -> None:
        while True:
            head = await client.readuntil(b"\r\n\r\n")
            cut = self._armed.pop() if self._armed and _INSERT in head.split(b"\r\n", 1)[0] else None
            exchange.withheld = cut is not None
            forth.write(head)
            length = _LENGTH.search(head)
            if length is not None:
                left = int(length[1])
                while left:
                    data = await client.read(min(left, 1 << 18))
                    if not data:
                        return
                    left -= len(data)
                    forth.write(data)
                    await forth.drain()
            elif b"chunked" in head.lower():
                await _chunks(client, forth)
            await forth.drain()
            if cut is not None:
                self.cuts += 1
                if cut is Cut.SENT:
                    _abort(exchange.back)
                await exchange.answered.wait()
                return

    async def _answers(self, server: asyncio.StreamReader, back: asyncio.StreamWriter, exchange: "_Exchange") -> None:
        try:
            while data := await server.read(1 << 18):
                if exchange.withheld:
                    return
                back.write(data)
                await back.drain()
        finally:
            exchange.answered.set()


class _Exchange:
    """What the two directions of one connection know of each other."""

    def __init__(self, back: asyncio.StreamWriter) -> None:
        self.back = back
        self.withheld = False
        self.answered = asyncio.Event()


async def _chunks(client: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
    """A body in chunks, to its end."""
    while True:
        size = await client.readuntil(b"\r\n")
        data = await client.readexactly(int(size.split(b";")[0], 16) + 2)
        forth.write(size + data)
        await forth.drain()
        if data == b"\r\n":
            return


def _abort(writer: asyncio.StreamWriter) -> None:
    """Hang up without ceremony: a reset, as when a machine is gone."""
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
