"""Micro-batches inside Faust on a real broker: order, commits, back-pressure, what happens to a batch that fails."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import TP

from producers.kafka.publisher import Publisher
from schemas.metrics import Counters
from schemas.settings import Settings
from stream_processors.app import make_app
from stream_processors.intake import Intake, RecordBatch
from stream_processors.lanes import Lanes
from stream_processors.transport import BatchTransport, batch_topics
from tests.workers import until

pytestmark = pytest.mark.integration

PARTITIONS = 2


class Reader:
    """An app with one agent, in this process."""

    def __init__(self, app: Any, intake: Intake) -> None:
        self.app = app
        self.intake = intake
        self.batches: list[RecordBatch] = []

    def records(self) -> int:
        return sum(len(batch.records) for batch in self.batches)

    def crashed(self) -> bool:
        return bool(self.app._crashed.is_set())


@asynccontextmanager
async def reading(
    settings: Settings,
    group: str,
    topic: str,
    deliver: Callable[[RecordBatch], Coroutine[Any, Any, None]] | None = None,
    under_way: int = 1,
) -> AsyncIterator[Reader]:
    app = make_app(settings, group)
    intake = Intake(settings, Counters())
    app.transport = BatchTransport(app, intake)
    reader = Reader(app, intake)

    def plan(batch: RecordBatch) -> None:
        # A lane lets go of the records once the batch is done.
        reader.batches.append(RecordBatch(batch.tp, batch.records, batch.generation))

    async def send(batch: RecordBatch, _: None) -> list[asyncio.Future[None]]:
        return [] if deliver is None else [asyncio.ensure_future(deliver(batch))]

    lanes = Lanes(app, plan, send, lambda *_: None, under_way=under_way)

    async def agent(stream: Any) -> None:
        await lanes.run(stream)

    app.agent(batch_topics(app, topic), name="reader")(agent)
    app.finalize()
    starting = asyncio.create_task(app.start())
    try:
        yield reader
    finally:
        starting.cancel()
        await app.stop()
        await lanes.stop()


@pytest.fixture
async def topic(settings: Settings) -> str:
    name = f"batches-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    finally:
        await admin.close()
    return name


async def fill(settings: Settings, topic: str, count: int) -> None:
    """``count`` records in each partition."""
    async with Publisher(settings.kafka) as publisher:
        futures = []
        for partition in range(PARTITIONS):
            futures += await publisher.send_batch(topic, partition, [(b"k", b"%d" % n, ()) for n in range(count)])
        await asyncio.gather(*futures)


async def committed(settings: Settings, group: str, topic: str) -> list[int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    await admin.start()
    try:
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        found = await admin.list_consumer_group_offsets(group, partitions=places)
        return [found[place].offset if place in found else -1 for place in places]
    finally:
        await admin.close()


async def test_every_record_comes_once_in_order_in_bounded_batches_and_commits_reach_the_end(
    settings: Settings, topic: str
) -> None:
    group = f"g-{topic}"
    await fill(settings, topic, 5_000)
    async with reading(settings, group, topic) as reader:
        await until(lambda: reader.records() >= 10_000, 30, lambda: f"{reader.records()} records came")

        async def at_the_end() -> bool:
            return await committed(settings, group, topic) == [5_000, 5_000]

        await until(at_the_end, 10, lambda: f"due: {reader.intake.ledger.due()}")
    for partition in range(PARTITIONS):
        mine = [batch for batch in reader.batches if batch.tp.partition == partition]
        assert [record.offset for batch in mine for record in batch.records] == list(range(5_000))
        assert max(len(batch.records) for batch in mine) <= settings.worker.batch


async def test_another_reader_goes_on_where_the_first_stopped(settings: Settings, topic: str) -> None:
    group = f"g-{topic}"
    await fill(settings, topic, 1_000)
    async with reading(settings, group, topic) as first:
        await until(lambda: first.records() >= 2_000, 30, lambda: f"{first.records()} records came")
    await fill(settings, topic, 500)
    async with reading(settings, group, topic) as second:
        await until(lambda: second.records() >= 1_000, 30, lambda: f"{second.records()} records came")
    assert {batch.records[0].offset for batch in second.batches if batch.records[0].offset < 1_000} == set()
    assert second.records() == 1_000


async def test_a_log_that_begins_anew_is_read_from_its_beginning(settings: Settings, topic: str) -> None:
    """Kafka's consumer goes there by itself where its position is none any more, and the group need not hear of it."""
    group = f"g-{topic}"
    # Several batches, so that the first of the new log ends before the last that was taken of the old one.
    small = msgspec.structs.replace(settings, worker=msgspec.structs.replace(settings.worker, batch=100))
    await fill(settings, topic, 300)
    async with reading(small, group, topic) as reader:

        async def come(records: int) -> None:
            await until(lambda: reader.records() >= records, 30, lambda: f"{reader.records()} records came")

        await come(600)
        thread = reader.app.consumer._thread
        await thread.call_thread(thread.place, {TP(topic, 0): None})
        await come(900)
        assert reader.intake.counters.values["epochs_changed_total"] == 1
        # What comes behind it is not held back, and neither are its commits.
        await fill(settings, topic, 10)
        await come(920)
        read = [record.offset for batch in reader.batches if batch.tp == TP(topic, 0) for record in batch.records]
        assert read == [*range(300), *range(310)]

        async def at_the_end() -> bool:
            return await committed(settings, group, topic) == [310, 310]

        await until(at_the_end, 10, lambda: f"due: {reader.intake.ledger.due()}")


async def test_an_agent_that_waits_stops_the_fetching(settings: Settings, topic: str) -> None:
    small = msgspec.structs.replace(settings, worker=msgspec.structs.replace(settings.worker, batch=10, buffer=4))
    await fill(small, topic, 5_000)
    gate = asyncio.Event()

    async def wait(batch: RecordBatch) -> None:
        await gate.wait()

    async with reading(small, f"g-{topic}", topic, wait) as reader:

        def under_way() -> int:
            ledger = reader.intake.ledger
            return sum(len(ledger._entries[tp].under_way) for tp in ledger.partitions())

        try:
            await until(lambda: reader.batches and under_way() > 4, 30, lambda: "nothing came")
            seen = -1
            while under_way() != seen:
                seen = under_way()
                await asyncio.sleep(1)
            # Per partition one at work and two in its lane, four in the queue, one or two on their way into it.
            assert seen <= 2 * 3 + 4 + 3
        finally:
            gate.set()
        await until(lambda: reader.records() >= 10_000, 60, lambda: f"{reader.records()} records came")


async def test_batches_under_way_at_once_are_committed_in_order(settings: Settings, topic: str) -> None:
    group = f"g-{topic}"
    small = msgspec.structs.replace(settings, worker=msgspec.structs.replace(settings.worker, batch=50))
    await fill(small, topic, 1_000)
    gate = asyncio.Event()

    async def first_waits(batch: RecordBatch) -> None:
        if batch.records[0].offset == 0:
            await gate.wait()

    async with reading(small, group, topic, first_waits, under_way=2) as reader:
        try:
            await until(
                lambda: len(reader.batches) == 2 * PARTITIONS, 30, lambda: f"{len(reader.batches)} batches came"
            )
            await asyncio.sleep(2 * settings.kafka.commit_interval)
            # The second batch is done, the first is not: nothing may be committed.
            assert set(await committed(settings, group, topic)) <= {-1, 0}
        finally:
            gate.set()

        async def at_the_end() -> bool:
            return await committed(settings, group, topic) == [1_000, 1_000]

        await until(at_the_end, 30, lambda: f"due: {reader.intake.ledger.due()}")
    assert reader.records() == 2_000
