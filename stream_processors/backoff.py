"""Waiting between attempts."""

import asyncio
import random


class Backoff:
    """Pauses that double from 0.1 s to 3 s, each shortened by chance so that many waiters do not come at once."""

    __slots__ = ("_pause",)

    def __init__(self) -> None:
        self._pause = 0.1

    async def sleep(self) -> None:
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))
        self._pause = min(3.0, self._pause * 2)
