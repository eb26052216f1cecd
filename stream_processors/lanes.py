"""How an agent works through its batches: in order within a partition, several partitions at once.

The rules (faust-microbatch: an agent's rules): a batch is processed when everything it leads to is acknowledged by
Kafka; a broker that is away is waited for in place; anything else stops the worker with the batch uncommitted, so that
it is read again; nothing leaves the agent's loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
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
#: What Kafka will say of messages that were queued for it.
Answers = Sequence[asyncio.Future[Any]]


class Lanes(Generic[Planned]):
    """Runs ``plan`` once per batch, then ``send`` until Kafka has acknowledged it, then ``done``."""

    def __init__(
        self,
        app: Any,
        plan: Callable[[RecordBatch], Planned],
        send: Callable[[RecordBatch, Planned], Awaitable[Answers]],
        done: Callable[[RecordBatch, Planned], None],
        settle: Callable[[RecordBatch, Callable[[], bool]], Awaitable[bool]] | None = None,
        under_way: int = 1,
    ) -> None:
        """``settle`` is awaited before ``plan``, for what is not for this worker to decide; false gives the batch up,
        when it is not wanted any more. ``under_way``: batches of one partition that may wait for Kafka at once; more
        than one only where messages may be repeated behind later ones, in their old order."""
        self.app = app
        self.settle = settle
        self.plan = plan
        self.send = send
        self.done = done
        self.under_way = under_way
        self._lanes: dict[TP, _Lane[Planned]] = {}

    async def run(self, stream: Any) -> None:
        """The body of an agent."""
        async for event in stream.noack().events():
            tp = event.value.tp
            lane = self._lanes.get(tp)
            if lane is None:
                lane = self._lanes[tp] = _Lane(self, str(tp))
            await lane.waiting.put(event)

    async def stop(self) -> None:
        """End the lanes; call it when the app has stopped, for until then batches are being finished."""
        tasks = [task for lane in self._lanes.values() for task in lane.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Sent(Generic[Planned]):
    """A batch whose messages were queued, and when."""

    __slots__ = ("answers", "event", "planned", "queued_in")

    def __init__(self, event: Any, planned: Planned) -> None:
        self.event = event
        self.planned = planned
        self.answers: Answers = ()
        self.queued_in = -1


class _Lane(Generic[Planned]):
    """One partition: a task that plans and queues, and one that waits for Kafka; both in the order of the batches."""

    def __init__(self, lanes: Lanes[Planned], name: str) -> None:
        self._work = lanes
        self._name = name
        self.waiting: asyncio.Queue[Any] = asyncio.Queue(_DEPTH)
        self._sent: asyncio.Queue[_Sent[Planned]] = asyncio.Queue(lanes.under_way)
        self._room = asyncio.Semaphore(lanes.under_way)
        #: Ends whenever Kafka refuses or gets something a second time: what was queued in an earlier round may stand
        #: before it in the log, and is queued again.
        self._round = 0
        #: Generation of a batch that was given up. Nothing behind it is done before it was read again: positions
        #: count up.
        self._given_up = -1
        self.tasks = [
            asyncio.create_task(self._crash_with(self._plan_each()), name=f"plan {name}"),
            asyncio.create_task(self._crash_with(self._finish_each()), name=f"finish {name}"),
        ]

    async def _crash_with(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            # The batch is not acknowledged to Faust either: nothing behind it may look finished.
            await self._work.app.crash(error)
            raise

    async def _plan_each(self) -> None:
        settle = self._work.settle
        while True:
            await self._room.acquire()
            event = await self.waiting.get()
            batch: RecordBatch = event.value
            if (
                batch.generation == self._given_up
                or not self._is_current(batch)
                or (settle is not None and not await settle(batch, partial(self._may_wait, batch)))
            ):
                self._give_up(event)
                continue
            sent = _Sent(event, self._work.plan(batch))
            try:
                await self._queue(sent)
            except KafkaError as error:
                log.warning("Kafka takes nothing, trying again", what=self._name, error=repr(error))
                sent.queued_in = -1
            self._sent.put_nowait(sent)

    async def _finish_each(self) -> None:
        while True:
            sent = await self._sent.get()
            event, batch = sent.event, sent.event.value
            if batch.generation == self._given_up or not await repeated(
                partial(self._acknowledged, sent), partial(self._is_wanted, batch), self._name
            ):
                self._give_up(event)
                continue
            self._work.done(batch, sent.planned)
            batch.processed = True
            # Faust's events are cycles, which wait for the collector, and that comes rarely (app): not the records.
            batch.records = ()
            event.ack()
            self._room.release()

    async def _queue(self, sent: _Sent[Planned]) -> None:
        sent.queued_in = self._round
        sent.answers = await self._work.send(sent.event.value, sent.planned)

    async def _acknowledged(self, sent: _Sent[Planned]) -> None:
        """Wait until Kafka has the batch; raises KafkaError, and may then be called again."""
        again = sent.queued_in != self._round
        if again:
            self._round += 1
            await self._queue(sent)
        answers = await asyncio.gather(*sent.answers, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                self._round += 1
                raise answer

    def _give_up(self, event: Any) -> None:
        """A batch whose partition went elsewhere; it may not be committed."""
        self._given_up = event.value.generation
        event.ack()
        self._room.release()

    def _may_wait(self, batch: RecordBatch) -> bool:
        """Whether a batch of which nothing is published yet may wait on: a rebalance would wait for it."""
        app = self._work.app
        return self._is_current(batch) and not app.rebalancing and not app.should_stop

    def _is_wanted(self, batch: RecordBatch) -> bool:
        """Whether what Kafka refused is to be sent again."""
        return self._is_current(batch) and not self._work.app.should_stop

    def _is_current(self, batch: RecordBatch) -> bool:
        return bool(batch.generation == self._work.app.consumer_generation_id)


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
