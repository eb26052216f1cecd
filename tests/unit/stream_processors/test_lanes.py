"""Batches under way: their messages keep their order in the log, whatever Kafka refuses meanwhile.

Kafka and Faust are played: no broker can be made to refuse one request and take the next.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from producers.kafka.message import Message
from stream_processors.intake import RecordBatch
from stream_processors.lanes import Lanes
from tests.workers import until

_TP = TP("connections", 0)


class Record:
    """A message that has nothing but its offset."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.timestamp = 0
        self.key: bytes | None = None
        self.value: bytes | None = None
        self.headers: list[tuple[str, bytes]] = []


class Event:
    def __init__(self, offset: int, generation: int = 1) -> None:
        record: Message = Record(offset)
        self.value = RecordBatch(_TP, [record], generation)
        self.acked = False

    def ack(self) -> None:
        self.acked = True


class App:
    consumer_generation_id = 1
    should_stop = False
    rebalancing = False
    crashed: BaseException | None = None

    async def crash(self, error: BaseException) -> None:
        self.crashed = error


class Stream:
    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Event]:
        for event in self._events:
            yield event


class Kafka:
    """Takes what is sent, in order, when told to; refuses what ``refuses`` says, once."""

    def __init__(self, refuses: frozenset[int] | set[int] = frozenset()) -> None:
        self.log: list[int] = []
        self.queued: list[tuple[int, asyncio.Future[None]]] = []
        self.most_queued = 0
        self.done: list[int] = []
        self._refuses = set(refuses)

    async def send(self, batch: RecordBatch, planned: int) -> list[asyncio.Future[None]]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queued.append((planned, future))
        self.most_queued = max(self.most_queued, len(self.queued))
        asyncio.get_running_loop().call_later(0.001, self._answer)
        return [future]

    def _answer(self) -> None:
        number, future = self.queued.pop(0)
        if number in self._refuses:
            self._refuses.discard(number)
            future.set_exception(KafkaTimeoutError())
        else:
            self.log.append(number)
            future.set_result(None)

    def finish(self, batch: RecordBatch, planned: int) -> None:
        self.done.append(planned)


async def run(
    kafka: Kafka,
    events: list[Event],
    *,
    under_way: int,
    plan: Callable[[RecordBatch], int] = lambda batch: batch.last,
    app: App | None = None,
) -> App:
    app = app or App()
    lanes: Lanes[int] = Lanes(app, plan, kafka.send, kafka.finish, under_way=under_way)
    try:
        await lanes.run(Stream(events))
        await until(
            lambda: all(event.acked for event in events) or app.crashed is not None, 30, lambda: f"log: {kafka.log}"
        )
    finally:
        await lanes.stop()
    return app


@pytest.mark.parametrize("under_way", [1, 2, 3])
async def test_batches_are_planned_and_finished_in_order(under_way: int) -> None:
    kafka = Kafka()
    events = [Event(number) for number in range(20)]
    await run(kafka, events, under_way=under_way)

    assert kafka.log == kafka.done == list(range(20))
    assert kafka.most_queued == under_way
    assert all(event.value.processed for event in events)


@pytest.mark.parametrize("under_way", [1, 2, 3])
@pytest.mark.parametrize("refused", [{0}, {3}, {3, 4}, {3, 5, 8}, {9}])
async def test_what_overtook_a_refused_batch_is_sent_behind_it_again(under_way: int, refused: set[int]) -> None:
    kafka = Kafka(refused)
    await run(kafka, [Event(number) for number in range(10)], under_way=under_way)

    assert kafka.done == list(range(10))
    # The last of each in the log is what readers go by.
    last = {number: place for place, number in enumerate(kafka.log)}
    assert sorted(last, key=last.__getitem__) == list(range(10))


async def test_one_at_a_time_nothing_is_ever_repeated() -> None:
    kafka = Kafka({2, 5})
    await run(kafka, [Event(number) for number in range(10)], under_way=1)

    assert kafka.log == list(range(10))


async def test_a_batch_of_an_older_generation_is_let_go_unprocessed_and_all_behind_it() -> None:
    kafka = Kafka()
    old, new = [Event(0, generation=0), Event(1, generation=0)], [Event(0), Event(1)]
    await run(kafka, old + new, under_way=2)

    assert [event.value.processed for event in old + new] == [False, False, True, True]
    assert kafka.log == [0, 1]


async def test_a_refused_batch_is_given_up_when_its_partition_went_elsewhere() -> None:
    app = App()
    kafka = Kafka({0})

    def plan(batch: RecordBatch) -> int:
        if batch.last == 1:
            app.consumer_generation_id = 2
        return batch.last

    events = [Event(0), Event(1), Event(2)]
    await run(kafka, events, under_way=2, plan=plan, app=app)

    assert not any(event.value.processed for event in events)
    assert kafka.done == []


async def test_an_error_of_ours_stops_the_worker_with_nothing_let_go() -> None:
    def plan(batch: RecordBatch) -> int:
        if batch.last == 1:
            raise ZeroDivisionError
        return batch.last

    events: list[Any] = [Event(0), Event(1), Event(2)]
    app = await run(Kafka(), events, under_way=1, plan=plan)

    assert isinstance(app.crashed, ZeroDivisionError)
    assert [event.acked for event in events] == [True, False, False]
