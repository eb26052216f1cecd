"""``sojourn replay``: a range of a sensor topic, all partitions or one, made complete in ``events``."""

import asyncio

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.servers import kafka_sentence
from producers.kafka.epochs import TopicsError, epochs_of
from schemas.settings import Kafka, Settings, SettingsError
from schemas.topics import format_of
from stream_processors import groups
from stream_processors.sink.alerts import alert_rules
from stream_processors.sink.answers import UnansweredError
from stream_processors.sink.places import Place
from stream_processors.sink.refill import Refilled, refill
from stream_processors.sink.writer import Writer


class ReplayError(RuntimeError):
    """The range cannot be replayed; the text is one sentence."""


def run_replay(
    settings: Settings, topic: str, first: int, last: int | None, partition: int | None
) -> dict[int, Refilled]:
    """Partition → what was found there. Raises ReplayError; what was stored until then stays."""
    if format_of(topic) is None:
        raise ReplayError(f"--topic {topic}: a topic that sensors write was expected")
    try:
        return asyncio.run(_replay(settings, topic, first, last, partition))
    except (KafkaError, TimeoutError, TopicsError) as error:
        raise ReplayError(kafka_sentence(error, settings.kafka)) from error
    except SettingsError as error:
        raise ReplayError(str(error)) from error
    except UnansweredError as error:
        raise ReplayError(f"ClickHouse at {settings.clickhouse.url}: {error}") from error


async def _replay(
    settings: Settings, topic: str, first: int, last: int | None, partition: int | None
) -> dict[int, Refilled]:
    epoch = (await epochs_of(settings.kafka, {topic}))[topic]
    settled = await settled_offsets(settings.kafka, topic)
    if partition is not None and partition not in settled:
        raise ReplayError(f"--partition {partition}: {topic} has the partitions 0 to {len(settled) - 1}")
    writer = Writer(settings.clickhouse, alert_rules(settings.sink.alerts))
    found = {}
    try:
        for number, end in sorted(settled.items()):
            until = end - 1 if last is None else min(last, end - 1)
            if partition in (None, number) and first <= until:
                found[number] = await refill(settings.kafka, writer, Place(epoch, topic, number), first, until)
    finally:
        await writer.close()
    return found


async def settled_offsets(kafka: Kafka, topic: str) -> dict[int, int]:
    """Partition → the first offset that the sink has not settled; what comes from there on is its own to store."""
    places = [TopicPartition(topic, number) for number in range(kafka.partitions)]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap, client_id="sojourn-replay")
    try:
        await admin.start()
        committed = await admin.list_consumer_group_offsets(groups.SINK, partitions=places)
    finally:
        await admin.close()
    return {place.partition: committed[place].offset if place in committed else 0 for place in places}
