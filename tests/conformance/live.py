"""Clients of what is live, and records as sensors and the session machine publish them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from producers.kafka.publisher import Publisher
from schemas.records import Session
from schemas.settings import Settings
from schemas.topics import EVENTS, SESSIONS
from tests.conformance.conftest import Api

#: Seconds that anything may take on a busy machine.
PATIENCE = 60.0
TIME = 1_795_000_000_123_456


class Sensor:
    """Publishes in its own name."""

    def __init__(self, publisher: Publisher, name: str) -> None:
        self._publisher = publisher
        self.name = name

    async def events(self, *data: str, **fields: Any) -> None:
        """An event for each text; returns when Kafka has acknowledged all."""
        await self.raw(
            *({"sensor": self.name, "time": TIME / 1e6, "kind": "command", "data": d, **fields} for d in data)
        )

    async def raw(self, *records: dict[str, Any]) -> None:
        sent = [await self._publisher.send(EVENTS, self.name.encode(), msgspec.json.encode(r)) for r in records]
        await asyncio.gather(*sent)

    async def session(self, session: Session) -> None:
        key = msgspec.json.encode([session.sensor, session.session_id])
        await (await self._publisher.send(SESSIONS, key, msgspec.json.encode(session)))


@asynccontextmanager
async def sensor_of(settings: Settings, name: str) -> AsyncIterator[Sensor]:
    async with Publisher(settings.kafka, linger_ms=0) as publisher:
        yield Sensor(publisher, name)


class Socket:
    """A WebSocket whose messages are kept until somebody asks."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.pushed: list[dict[str, Any]] = []
        self.lost = 0

    async def message(self) -> dict[str, Any]:
        """The next one; pushes are noted besides."""
        received = await self.ws.receive(PATIENCE)
        assert received.type is aiohttp.WSMsgType.BINARY, received
        assert received.data.endswith(b"\n")
        found: dict[str, Any] = msgspec.json.decode(received.data)
        if found["type"] in (5, 6):
            self.pushed += [{"push": found["type"], **row} for row in found["payload"]]
            self.lost += found.get("lost", 0)
        return found

    async def reply(self, request: Any) -> dict[str, Any]:
        """What is answered; ``request`` is bytes, or what becomes JSON."""
        await self.ws.send_str((request if isinstance(request, bytes) else msgspec.json.encode(request)).decode())
        while True:
            found = await self.message()
            if found["type"] not in (5, 6):
                return found

    async def until(self, enough: Callable[["Socket"], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not enough(self):
                await self.message()

    def of(self, sensor: str, push: int = 6) -> list[dict[str, Any]]:
        return [row for row in self.pushed if row["sensor"] == sensor and row["push"] == push]


@asynccontextmanager
async def connected(api: Api, path: str = "/ws", **options: Any) -> AsyncIterator[Socket]:
    async with api.http.ws_connect(api.base + path, max_msg_size=0, **options) as ws:
        yield Socket(ws)


@asynccontextmanager
async def narrow(api: Api) -> AsyncIterator[Socket]:
    """A client for which little can be under way: what it does not read stays with the server."""

    def small(info: Any) -> socket.socket:
        found = socket.socket(info[0], info[1], info[2])
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        found.setblocking(False)
        return found

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=small)) as http,
        http.ws_connect(api.base + "/ws", max_msg_size=0) as ws,
    ):
        yield Socket(ws)


class Stream:
    """A client of server-sent events, as browsers read them."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        #: What the client would come back with.
        self.last_id = ""
        self.lost = 0

    async def row(self) -> dict[str, Any]:
        """The next row."""
        while (found := await self.block()) is None:
            pass
        return found

    async def placed(self) -> str:
        """The id, once there is one."""
        while not self.last_id:
            await self.block()
        return self.last_id

    async def block(self) -> dict[str, Any] | None:
        """The next block, None where it is no row. Raises EOFError at the end."""
        async with asyncio.timeout(PATIENCE):
            text = (await self._answer.content.readuntil(b"\n\n")).decode()
        if not text.endswith("\n\n"):
            raise EOFError("the stream has ended")
        fields = dict(line.split(": ", 1) for line in text.strip().split("\n") if not line.startswith(":"))
        self.last_id = fields.get("id", self.last_id)
        if "data" not in fields:
            return None
        found: dict[str, Any] = msgspec.json.decode(fields["data"])
        if fields.get("event") == "lost":
            self.lost += found["lost"]
            return None
        return found


@asynccontextmanager
async def streaming(api: Api, path: str, last_id: str = "", **headers: str) -> AsyncIterator[Stream]:
    sent = {**headers, **({"Last-Event-ID": last_id} if last_id else {})}
    async with api.http.get(api.base + path, headers=sent) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Stream(answer)
