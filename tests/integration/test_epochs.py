"""Topics and their epochs on a real broker."""

import uuid

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from producers.kafka.epochs import TopicsError, apply_topics, epochs_of, read_epochs
from producers.kafka.publisher import Publisher
from schemas import topics
from schemas.settings import Settings
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def test_every_topic_has_an_epoch_and_applying_again_changes_nothing(settings: Settings) -> None:
    before = await read_epochs(settings.kafka)
    assert set(before) >= {topic.name for topic in topics.all_topics()}
    applied = await apply_topics(settings.kafka)
    assert applied.created == []
    assert applied.recreated == []
    assert applied.epochs == await read_epochs(settings.kafka) == before


async def test_a_topic_without_epoch_is_named(settings: Settings) -> None:
    with pytest.raises(TopicsError, match=r"sensor\.nowhere has no epoch"):
        await epochs_of(settings.kafka, {"sensor.nowhere", topics.EVENTS})


async def test_another_number_of_partitions_is_refused_once_a_topic_is_in_use(settings: Settings) -> None:
    other = msgspec.structs.replace(settings.kafka, partitions=settings.kafka.partitions + 1)
    with pytest.raises(TopicsError, match=r"has \d+ partitions, \d+ were expected"):
        await apply_topics(other)


async def test_a_topic_that_was_deleted_and_made_anew_gets_a_new_epoch(own_stack: Stack) -> None:
    kafka = own_stack.settings.kafka
    before = await read_epochs(kafka)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.delete_topics([topics.EVENTS])
    await admin.close()
    applied = await apply_topics(kafka)
    assert applied.created == [topics.EVENTS]
    assert applied.epochs[topics.EVENTS] != before[topics.EVENTS]
    assert {n: e for n, e in applied.epochs.items() if n != topics.EVENTS} == {
        n: e for n, e in before.items() if n != topics.EVENTS
    }
    assert await read_epochs(kafka) == applied.epochs


async def test_a_topic_that_a_sensor_made_by_being_first_is_made_anew_on_the_embedded_broker(own_stack: Stack) -> None:
    kafka = own_stack.settings.kafka
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.delete_topics([topics.CONNECTIONS_IN, topics.EPOCHS])
    await admin.create_topics([NewTopic(topics.CONNECTIONS_IN, kafka.partitions + 3, 1)])
    await admin.close()
    applied = await apply_topics(kafka)
    assert applied.recreated == [topics.CONNECTIONS_IN]
    async with Publisher(kafka) as publisher:
        assert await publisher.partitions_of(topics.CONNECTIONS_IN) == kafka.partitions


async def test_an_epoch_that_was_withdrawn_is_no_epoch(settings: Settings) -> None:
    name = f"sensor.native.gone-{uuid.uuid4().hex[:8]}"
    async with Publisher(settings.kafka) as publisher:
        await (await publisher.send(topics.EPOCHS, name.encode(), b"e1"))
        assert (await read_epochs(settings.kafka))[name] == "e1"
        await (await publisher.send(topics.EPOCHS, name.encode(), None))
    assert name not in await read_epochs(settings.kafka)
