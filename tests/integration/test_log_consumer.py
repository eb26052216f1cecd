"""The consumer on a real broker: starts, commits, hand-overs, new epochs."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from producers.kafka.consumer import Assigned, LogConsumer
from producers.kafka.history import read_history
from producers.kafka.publisher import Publisher, partition_of
from schemas import topics
from schemas.metrics import Counters
from schemas.settings import Kafka, Settings

pytestmark = pytest.mark.integration


@pytest.fixture
async def topic(settings: Settings) -> str:
    """An empty topic of this test alone, with two partitions and an epoch."""
    name = f"sensor.native.test-{uuid.uuid4().hex[:8]}"
    await make_topic(settings.kafka, name)
    return name


async def make_topic(kafka: Kafka, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1)])
    await admin.close()
    await write_epoch(kafka, name)


async def write_epoch(kafka: Kafka, name: str) -> None:
    async with Publisher(kafka) as publisher:
        await (await publisher.send(topics.EPOCHS, name.encode(), uuid.uuid4().hex.encode()))


@pytest.fixture
async def publisher(settings: Settings) -> AsyncIterator[Publisher]:
    async with Publisher(settings.kafka) as publisher:
        yield publisher


async def publish(publisher: Publisher, topic: str, partition: int, first: int, count: int) -> None:
    for future in await publisher.send_batch(
        topic, partition, [(b"k", str(n).encode(), ()) for n in range(first, first + count)]
    ):
        await future


async def nobody(_: frozenset[TopicPartition]) -> None:
    """Nothing to finish before a rebalance."""


async def take(consumer: LogConsumer, enough: Callable[[list[str]], bool]) -> tuple[list[Assigned], list[str]]:
    """Polls and begins what is assigned until enough values came; fails after 20 s."""
    deadline = time.monotonic() + 20
    assigned: list[Assigned] = []
    values: list[str] = []
    while not enough(values):
        assert time.monotonic() < deadline, f"only {len(values)} values came in 20 s, assigned {assigned}"
        poll = await consumer.poll(0.1)
        for one in poll.assigned:
            assigned.append(one)
            consumer.begin(one.partition, one.offset)
        values += [r.value.decode() for fetched in poll.fetched for r in fetched.records if r.value is not None]
    return assigned, values


async def test_a_key_goes_where_partition_of_says(settings: Settings, topic: str, publisher: Publisher) -> None:
    for key in (b"a", b"bb", b"ccc", b"dddd"):
        written = await (await publisher.send(topic, key, b"v"))
        assert written.partition == partition_of(key, 2)


async def test_history_reads_everything_up_to_now(settings: Settings, topic: str, publisher: Publisher) -> None:
    await publish(publisher, topic, 0, 0, 3000)
    found: list[str] = []
    async for _, records in read_history(settings.kafka, {TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 0}):
        found += [r.value.decode() for r in records if r.value is not None]
    assert found == [str(n) for n in range(3000)]


async def test_reading_from_here_gives_what_is_published_afterwards_and_nothing_else(
    settings: Settings, topic: str, publisher: Publisher
) -> None:
    await publish(publisher, topic, 0, 0, 500)
    consumer = LogConsumer(settings.kafka, client="test")
    await consumer.assign({TopicPartition(topic, 0): None, TopicPartition(topic, 1): None})
    await publish(publisher, topic, 0, 500, 10)
    await publish(publisher, topic, 1, 510, 10)
    _, values = await take(consumer, lambda values: len(values) >= 20)
    await consumer.stop()
    assert sorted(values, key=int) == [str(n) for n in range(500, 520)]


async def test_a_group_starts_at_zero_and_goes_on_where_it_committed(
    settings: Settings, topic: str, publisher: Publisher
) -> None:
    group = f"test-{uuid.uuid4().hex[:8]}"
    await publish(publisher, topic, 0, 0, 100)
    first = LogConsumer(settings.kafka, client="test")
    await first.join(group, [topic], nobody)
    assigned, values = await take(first, lambda values: len(values) >= 100)
    assert {(a.partition.partition, a.offset, a.anew) for a in assigned} == {(0, 0, False), (1, 0, False)}
    await first.commit({TopicPartition(topic, 0): 40})
    await first.stop()

    second = LogConsumer(settings.kafka, client="test")
    await second.join(group, [topic], nobody)
    assigned, values = await take(second, lambda values: len(values) >= 60)
    assert {(a.partition.partition, a.offset) for a in assigned} == {(0, 40), (1, 0)}
    assert values == [str(n) for n in range(40, 100)]
    assert second.highwater(TopicPartition(topic, 0)) == 100
    await second.stop()


async def test_nothing_comes_of_a_partition_before_its_owner_begins_it(
    settings: Settings, topic: str, publisher: Publisher
) -> None:
    await publish(publisher, topic, 0, 0, 10)
    consumer = LogConsumer(settings.kafka, client="test")
    await consumer.join(f"test-{uuid.uuid4().hex[:8]}", [topic], nobody)
    poll = await consumer.poll(0.1)
    assert len(poll.assigned) == 2
    for _ in range(3):
        assert (await consumer.poll(0.2)).fetched == []
    consumer.begin(TopicPartition(topic, 0), 4)
    _, values = await take(consumer, lambda values: len(values) >= 6)
    await consumer.stop()
    assert values == [str(n) for n in range(4, 10)]


async def test_a_second_member_takes_over_partitions_after_the_first_was_told(
    settings: Settings, topic: str, publisher: Publisher
) -> None:
    group = f"test-{uuid.uuid4().hex[:8]}"
    told: list[frozenset[TopicPartition]] = []

    async def revoked(partitions: frozenset[TopicPartition]) -> None:
        told.append(partitions)

    first = LogConsumer(settings.kafka, client="first")
    await first.join(group, [topic], revoked)
    second = LogConsumer(settings.kafka, client="second")
    joining = asyncio.create_task(second.join(group, [topic], nobody))
    deadline = time.monotonic() + 20
    while len(first.assignment) != 1 or len(second.assignment) != 1:
        assert time.monotonic() < deadline, f"no hand-over in 20 s: {first.assignment} {told}"
        await first.poll(0.1)
    await joining
    assert told == [frozenset({TopicPartition(topic, 0), TopicPartition(topic, 1)})]
    assert first.assignment.isdisjoint(second.assignment)
    await second.stop()
    await first.stop()


async def test_a_log_that_began_anew_is_read_from_zero_under_its_new_epoch(
    settings: Settings, publisher: Publisher
) -> None:
    topic = f"sensor.native.test-{uuid.uuid4().hex[:8]}"
    kafka = settings.kafka
    await make_topic(kafka, topic)
    await publish(publisher, topic, 0, 0, 50)
    counters = Counters()
    consumer = LogConsumer(kafka, client="test", counters=counters)
    await consumer.join(f"test-{uuid.uuid4().hex[:8]}", [topic], nobody)
    assigned, _ = await take(consumer, lambda values: len(values) >= 50)

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    await write_epoch(kafka, topic)
    await publish(publisher, topic, 0, 1000, 20)
    again, values = await take(consumer, lambda values: len(values) >= 20)
    await consumer.stop()
    assert values == [str(n) for n in range(1000, 1020)]
    assert counters.values["epochs_changed_total"] >= 1
    renewed = [a for a in again if a.partition.partition == 0]
    assert [(a.offset, a.anew) for a in renewed] == [(0, True)]
    assert renewed[0].epoch != assigned[0].epoch
