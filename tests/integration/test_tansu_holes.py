"""The embedded broker lets consumers at the tail skip records; each consumer of ours finds and reads them again.

It publishes its high-water mark before a batch is stored. With many producers on one partition a fetch then has batch B
without the batch A before it (producers.kafka.holes). Here that is provoked, as often as it comes; and, since it comes
when it likes, batches are taken out of what each consumer fetches. One that did not look for them would have records
less.
"""

import asyncio
import uuid
from collections import Counter
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.consumer.fetcher import Fetcher

from producers.kafka.consumer import LogConsumer
from producers.kafka.history import read_history
from producers.kafka.publisher import Publisher
from schemas import topics
from schemas.metrics import Counters
from schemas.settings import Settings
from tests.integration.test_transport import reading
from tests.stack import Stack
from tests.workers import until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PRODUCERS = 12
#: Records of one batch.
BATCH = 20
#: Batches of a fetch that has enough to do without one: another is in front of it, and others are behind it.
ENOUGH = 4
#: Records in all; the broker itself leaves out a batch of some tens of thousands for one consumer or another.
RECORDS = 60_000


@pytest.fixture
async def place(stack: Stack) -> TopicPartition:
    """The one partition of a topic of this test alone."""
    if not stack.settings.kafka.contiguous:
        pytest.skip(f"only the embedded broker has such holes, --stack={stack.kind} was asked for")
    name = f"sensor.native.holes-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.settings.kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()
    async with Publisher(stack.settings.kafka) as publisher:
        await (await publisher.send(topics.EPOCHS, name.encode(), uuid.uuid4().hex.encode()))
    return TopicPartition(name, 0)


class Load:
    """Many producers on one partition, until told to stop; ``published`` is what the broker acknowledged."""

    def __init__(self, settings: Settings, place: TopicPartition) -> None:
        self._settings = settings
        self._place = place
        self._stop = asyncio.Event()
        self.published = 0

    async def run(self) -> int:
        await asyncio.gather(*(self._produce() for _ in range(PRODUCERS)))
        return self.published

    def stop(self) -> None:
        self._stop.set()

    async def _produce(self) -> None:
        async with Publisher(self._settings.kafka, linger_ms=0) as publisher:
            while not self._stop.is_set():
                items = [(None, b"x" * 200, ())] * BATCH
                futures = await publisher.send_batch(self._place.topic, self._place.partition, items)
                await asyncio.gather(*futures)
                self.published += BATCH
                await asyncio.sleep(0)


async def follow(consumer: LogConsumer, found: list[int], stop: asyncio.Event) -> None:
    while not stop.is_set():
        for fetched in (await consumer.poll(0.05)).fetched:
            found.extend(record.offset for record in fetched.records)


async def look_back(settings: Settings, place: TopicPartition, counters: Counters, stop: asyncio.Event) -> list[int]:
    """The history again and again, each time from where the last one ended: what a restore does under load."""
    found: list[int] = []
    while not stop.is_set():
        async for _, records in read_history(settings.kafka, {place: len(found)}, counters=counters):
            found.extend(record.offset for record in records)
    return found


def leave_out(place: TopicPartition, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client of Kafka gets its first large fetch without the first batch, and the next one without the second."""
    fetch = Fetcher.fetched_records
    left_out: Counter[Fetcher] = Counter()

    async def fetched_records(self: Fetcher, *arguments: Any, **named: Any) -> Any:
        fetched = await fetch(self, *arguments, **named)
        records = fetched.get(place, [])
        if len(records) >= ENOUGH * BATCH and left_out[self] < 2:
            start = left_out[self] * BATCH
            left_out[self] += 1
            fetched[place] = [*records[:start], *records[start + BATCH :]]
        return fetched

    monkeypatch.setattr(Fetcher, "fetched_records", fetched_records)


async def test_every_consumer_has_every_record_once_whatever_a_fetch_left_out(
    settings: Settings, place: TopicPartition, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_out(place, monkeypatch)
    followed: list[int] = []
    stop = asyncio.Event()
    counters = {"LogConsumer": Counters(), "read_history": Counters()}
    load = Load(settings, place)
    running = asyncio.create_task(load.run())
    # Before anybody reads: the very first fetch is a large one.
    await until(lambda: load.published >= 2 * ENOUGH * BATCH, 60, lambda: f"{load.published} published")
    consumer = LogConsumer(settings.kafka, client="holes", counters=counters["LogConsumer"])
    await consumer.assign({place: 0})
    async with reading(settings, f"g-{place.topic}", place.topic) as reader:
        counters["Faust"] = reader.intake.counters
        tasks = [
            asyncio.create_task(follow(consumer, followed, stop)),
            asyncio.create_task(look_back(settings, place, counters["read_history"], stop)),
        ]

        def said() -> str:
            return f"{load.published} published; { ({name: each.values for name, each in counters.items()}) }"

        await until(lambda: load.published >= RECORDS, 60, said)
        load.stop()
        published = await running
        await until(lambda: len(followed) >= published <= reader.records(), 60, said)
        stop.set()
        await tasks[0]
        remembered = await tasks[1]
    await consumer.stop()
    async for _, records in read_history(settings.kafka, {place: len(remembered)}):
        remembered += [record.offset for record in records]
    whole = Counter(range(published))
    assert Counter(followed) == whole, said()
    assert Counter(record.offset for batch in reader.batches for record in batch.records) == whole, said()
    assert Counter(remembered) == whole, said()
    assert all(each.values.get("holes_seen_total", 0) >= 2 for each in counters.values()), said()
    assert not any(each.values.get("holes_passed_total") for each in counters.values()), said()
