"""Is ClickHouse there at all? Asked while a query takes long, so that nobody waits for a server that stands still."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp

from query_api.errors import UnavailableError

T = TypeVar("T")

#: Seconds a query runs before ClickHouse is asked whether it is there, again and again, and seconds it has to answer.
#: It answers a ping beside all its queries; where that takes so long no query is answered either.
PATIENCE, ANSWER = 2.0, 3.0


class Pulse:
    """``url``: ClickHouse's HTTP interface."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/ping"
        self._http: aiohttp.ClientSession | None = None
        self._asking: asyncio.Task[bool] | None = None

    async def beside(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``. Raises UnavailableError when ClickHouse falls silent meanwhile."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=PATIENCE))[0]:
                if not await self.beats() and not task.done():
                    raise UnavailableError("ClickHouse does not answer", retry_after=2)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def beats(self) -> bool:
        """Whether it answers now. All that ask at one time share one question."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._asking)

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def _ask(self) -> bool:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER))
        try:
            async with self._http.get(self._url) as answer:
                # A proxy in between may not know the path: that it answers is enough.
                return answer.status < 500
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
