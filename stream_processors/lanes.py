"""How an agent works through its batches: one at a time per partition, several partitions at once.

The rules (faust-microbatch: an agent's rules): a batch is processed when everything it leads to is acknowledged by
Kafka; a broker that is away is waited for in place; anything else stops the worker with the batch uncommitted, so that
it is read again; nothing leaves the agent's loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from stream_processors.intake import RecordBatch

log = structlog.get_logger()

#: Batches that wait in a lane; what waits here is finished before partitions are given up.
_DEPTH = 2
_LONGEST_PAUSE = 5.0

Planned = TypeVar("Planned")


class Lanes(Generic[Planned]):
    """Runs ``plan`` once per batch, then ``deliver`` until Kafka has acknowledged it."""

    def __init__(
        self,
        app: Any,
        plan: Callable[[RecordBatch], Planned],
        deliver: Callable[[RecordBatch, Planned], Awaitable[None]],
        settle: Callable[[RecordBatch, Callable[[], bool]], Awaitable[bool]] | None = None,
    ) -> None:
        """``settle`` is awaited before ``plan``, for what is not for this worker to decide; false gives the batch up,
        when it is not wanted any more."""
        self._app = app
        self._settle = settle
        self._plan = plan
        self._deliver = deliver
        self._queues: dict[TP, asyncio.Queue[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, stream: Any) -> None:
        """The body of an agent."""
        async for event in stream.noack().events():
            queue = self._queues.get(event.value.tp)
            if queue is None:
                queue = self._queues[event.value.tp] = asyncio.Queue(_DEPTH)
                self._tasks.append(asyncio.create_task(self._lane(queue), name=f"lane {event.value.tp}"))
            await queue.put(event)

    async def stop(self) -> None:
        """End the lanes; call it when the app has stopped, for until then batches are being finished."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _lane(self, queue: asyncio.Queue[Any]) -> None:
        given_up = -1
        while True:
            event = await queue.get()
            batch = event.value
            try:
                # Behind a batch that was given up nothing is done before that one was read again: positions count up.
                batch.processed = batch.generation != given_up and await self._process(batch)
                if not batch.processed:
                    given_up = batch.generation
            except Exception as error:
                # Not acknowledged to Faust either: nothing behind this batch may look finished.
                await self._app.crash(error)
                raise
            event.ack()

    async def _process(self, batch: RecordBatch) -> bool:
        """Whether the batch may be committed; it may not when its partition went elsewhere meanwhile."""
        if not self._is_current(batch):
            return False
        if self._settle is not None and not await self._settle(batch, lambda: self._may_wait(batch)):
            return False
        planned = self._plan(batch)
        return await repeated(
            lambda: self._deliver(batch, planned),
            lambda: self._is_current(batch) and not self._app.should_stop,
            str(batch.tp),
        )

    def _may_wait(self, batch: RecordBatch) -> bool:
        """Whether a batch of which nothing is published yet may wait on: a rebalance would wait for it."""
        return self._is_current(batch) and not self._app.rebalancing and not self._app.should_stop

    def _is_current(self, batch: RecordBatch) -> bool:
        return bool(batch.generation == self._app.consumer_generation_id)


async def repeated(attempt: Callable[[], Awaitable[None]], wanted: Callable[[], bool], what: str) -> bool:
    """Try until it succeeds (true) or is not wanted any more (false); KafkaError is waited out, with backoff."""
    failures = 0
    while True:
        try:
            await attempt()
        except KafkaError as error:
            if not wanted():
                return False
            failures += 1
            pause = min(_LONGEST_PAUSE, 0.1 * 2**failures)
            log.warning("Kafka did not acknowledge, trying again", what=what, error=repr(error), pause=pause)
            await asyncio.sleep(pause)
        else:
            return True
