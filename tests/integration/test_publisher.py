"""Several writers of one partition."""

import asyncio
from typing import Any

import pytest

from producers.kafka.publisher import Publisher
from schemas.topics import EVENTS
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def test_who_has_much_to_say_lets_others_have_their_turn(own_stack: Stack) -> None:
    value = b'{"sensor":"turns"}' + b" " * 200_000
    async with Publisher(own_stack.settings.kafka) as publisher:

        async def queue(messages: int) -> list[asyncio.Future[Any]]:
            return await publisher.send_batch(EVENTS, 0, [(b"k", value, ())] * messages)

        # As an agent's lane: the next batch is queued as soon as there is room, one request a message.
        talking = asyncio.create_task(queue(200))
        await asyncio.sleep(0)
        others = [asyncio.create_task(queue(1)) for _ in range(3)]
        await asyncio.sleep(0)
        again = asyncio.create_task(queue(200))
        await asyncio.gather(talking, again, *others)
        offsets = [(await task.result()[0]).offset for task in (talking, *others, again)]
    assert offsets == sorted(offsets)
