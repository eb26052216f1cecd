"""Ending a task that runs until it is cancelled."""

import asyncio
from typing import Any

_PAUSE = 0.5


async def cancel(task: asyncio.Task[Any]) -> None:
    """Returns when the task has ended, however it did.

    Cancels more than once: where a connection is made in just that moment, Python 3.11's ``wait_for`` forgets the
    first, and a task that begins anew after each failure would go on for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_PAUSE)
