"""The real server before a real ClickHouse, and somebody who asks it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from query_api.listener import Listener
from query_api.main import make_app
from query_api.tls import is_on, server_context
from schemas.settings import Settings
from tests.conformance.store import Store


class Api:
    """A server on a port of its own."""

    def __init__(self, app: web.Application, base: str, http: aiohttp.ClientSession) -> None:
        self.app, self.base, self.http = app, base, http

    async def get(self, path: str, body: Any = None, status: int = 200, **options: Any) -> dict[str, Any]:
        """The answer as JSON; ``body`` is bytes or what becomes JSON."""
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        async with self.http.get(self.base + path, data=data, **options) as answer:
            text = await answer.read()
            assert answer.status == status, (answer.status, text[:500])
            assert answer.content_type == "application/json"
            found: dict[str, Any] = msgspec.json.decode(text)
            return found

    async def refused(self, path: str, body: Any = None, status: int = 400, **options: Any) -> dict[str, Any]:
        found = await self.get(path, body, status, **options)
        assert isinstance(found["error"], str)
        return found


class Apis:
    """Starts servers; each is stopped when the test ends."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._listeners: list[Listener] = []

    async def start(self, settings: Settings, *, follow_health: bool = False, **http: Any) -> Api:
        settings = msgspec.structs.replace(settings, http=msgspec.structs.replace(settings.http, **http))
        app = make_app(settings, follow_health=follow_health)
        listener = Listener(app, settings.http.connections)
        self._listeners.append(listener)
        port = await listener.start("127.0.0.1", 0, server_context(settings))
        scheme = "https" if is_on(settings.http) else "http"
        return Api(app, f"{scheme}://127.0.0.1:{port}", self._http)

    async def stop(self) -> None:
        for listener in self._listeners:
            await listener.stop()


@pytest.fixture
async def apis() -> AsyncIterator[Apis]:
    # Certificates are looked at in the test of TLS; here clients take any.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http:
        found = Apis(http)
        yield found
        await http.close()
        await found.stop()


@pytest.fixture
async def api(apis: Apis, settings: Settings) -> Api:
    return await apis.start(settings)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    found = Store(settings)
    yield found
    found.close()
