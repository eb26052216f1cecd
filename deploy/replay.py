"""``sojourn replay``: a range of a sensor topic, all partitions or one, made complete in ``events``, or made anew."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.servers import kafka_sentence
from producers.kafka.epochs import TopicsError, epochs_of
from producers.kafka.publisher import Publisher
from schemas.settings import Kafka, Settings, SettingsError
from schemas.topics import format_of
from stream_processors import groups
from stream_processors.sink.alerts import alert_rules
from stream_processors.sink.answers import UnansweredError
from stream_processors.sink.places import Place
from stream_processors.sink.redecode import Redecoded, redecode
from stream_processors.sink.refill import Refilled, refill
from stream_processors.sink.writer import Writer


class ReplayError(RuntimeError):
    """The range cannot be replayed; the text is one sentence."""


def run_replay(
    settings: Settings, topic: str, first: int, last: int | None, partition: int | None
) -> dict[int, Refilled]:
    """Partition → what was found there. Raises ReplayError; what was stored until then stays."""
    with _sentences(settings, topic):
        return asyncio.run(_replay(settings, topic, first, last, partition))


def run_redecode(settings: Settings, topic: str, first: int, last: int | None, partition: int | None) -> Redecoded:
    """Exchange the rows of the range for those that this version's decoder makes. Raises ReplayError; what was
    exchanged until then stays, and the hours it touched are counted again if ClickHouse is there."""
    with _sentences(settings, topic):
        return asyncio.run(_redecode(settings, topic, first, last, partition))


@contextmanager
def _sentences(settings: Settings, topic: str) -> Iterator[None]:
    if format_of(topic) is None:
        raise ReplayError(f"--topic {topic}: a topic that sensors write was expected")
    try:
        yield
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
    ranges = await _ranges(settings.kafka, topic, first, last, partition)
    writer = Writer(settings.clickhouse, alert_rules(settings.sink.alerts))
    found = {}
    try:
        for number, until in ranges.items():
            found[number] = await refill(settings.kafka, writer, Place(epoch, topic, number), first, until)
    finally:
        await writer.close()
    return found


async def _redecode(settings: Settings, topic: str, first: int, last: int | None, partition: int | None) -> Redecoded:
    kafka = settings.kafka
    epochs = await epochs_of(kafka, {topic})
    ranges = await _ranges(kafka, topic, first, last, partition)
    writer = Writer(settings.clickhouse, alert_rules(settings.sink.alerts))
    found = Redecoded()
    try:
        async with Publisher(kafka, client="sojourn-replay") as publisher:
            for number, until in ranges.items():
                place = Place(epochs[topic], topic, number)
                await redecode(kafka, writer, publisher, place, first, until, found)
    finally:
        await writer.close()
    return found


async def _ranges(kafka: Kafka, topic: str, first: int, last: int | None, partition: int | None) -> dict[int, int]:
    """Partition → last offset to read there, where there is anything to read."""
    settled = await settled_offsets(kafka, topic)
    if partition is not None and partition not in settled:
        raise ReplayError(f"--partition {partition}: {topic} has the partitions 0 to {len(settled) - 1}")
    ends = {number: end - 1 if last is None else min(last, end - 1) for number, end in sorted(settled.items())}
    return {number: until for number, until in ends.items() if partition in (None, number) and first <= until}


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
