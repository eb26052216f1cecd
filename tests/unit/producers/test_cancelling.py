"""Tasks that are stubborn."""

import asyncio

from producers.cancelling import cancel


async def test_a_task_that_misses_its_cancellation_once_ends_nevertheless() -> None:
    missed = 0

    async def stubborn() -> None:
        nonlocal missed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                missed += 1
                if missed == 2:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await cancel(task)
    assert task.cancelled()
    assert missed == 2
    await cancel(task)
