"""The listening socket: how many may come, how long they may be silent, and what is said to what is no HTTP."""

import asyncio
import resource
import ssl
from typing import Any

import structlog
from aiohttp import web

from query_api.access_log import AccessLog
from query_api.protocol import Protocol, in_owners_form

log = structlog.get_logger()

#: Seconds that answers in work have to end after the listener is closed.
_DRAIN = 5.0
#: Seconds a connection may stand without a whole request line and headers: at its start, and between two requests.
_SILENCE = 60.0
#: Longest request line that is parsed at all; the setting http.url_bytes refuses earlier, in JSON.
_LINE = 1 << 20

#: Files besides those of clients.
_OWN_FILES = 200

_PROTOCOL: dict[str, Any] = {
    "access_log_class": AccessLog,
    "keepalive_timeout": _SILENCE,
    "max_line_size": _LINE,
    # query_api.bodies does it, and notices what is cut short.
    "auto_decompress": False,
}


def allow_files(connections: int) -> None:
    """As many open files as connections need, beside our own to Kafka and ClickHouse; where the system allows."""
    wanted = connections + _OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    if granted < wanted:
        log.warning("fewer files may be open than http.connections needs", allowed=granted, needed=wanted)


class Listener:
    """Serves an application until ``stop``, which drains for a bounded time.

    ``connections``: at most so many at once.
    """

    def __init__(self, app: web.Application, connections: int) -> None:
        # A query ends when its client goes away.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_DRAIN, **_PROTOCOL)
        self._connections = connections
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """Listens; the port, which is another one for 0. Raises OSError."""
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        server.request_handler = in_owners_form(server.request_handler)
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._protocol, host, port, ssl=context)
        found: int = self._listening.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        # Beyond this a process runs out of files, and could neither answer anybody nor ask ClickHouse.
        if server is None or len(server.connections) >= self._connections:
            return _Refusal()
        return Protocol(server, loop=asyncio.get_running_loop(), **_PROTOCOL)


class _Refusal(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()
