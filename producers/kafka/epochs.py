"""Epochs: which life of a topic's log this is, and the topics themselves.

The embedded broker forgets everything when it ends and counts from 0 again, and a topic can be deleted and made anew;
positions that are kept outside Kafka would then point at other records. So whoever creates a topic writes a uuid for
it to the compacted topic ``sojourn.epochs``, and every position kept elsewhere carries that uuid (hard-questions:
epochs).
"""

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from producers.kafka.history import read_history
from producers.kafka.publisher import Publisher
from schemas import topics
from schemas.settings import Kafka

log = structlog.get_logger()

_OK = 0
_EXISTS = 36


class TopicsError(RuntimeError):
    """The broker's topics are not as they must be, or could not be made so; the text says which and why."""


class Applied(msgspec.Struct, frozen=True):
    """What ``apply_topics`` did: topics it created, topics it deleted and made anew, and the epochs now in force."""

    created: list[str]
    recreated: list[str]
    epochs: dict[str, str]


async def read_epochs(kafka: Kafka) -> dict[str, str]:
    """Topic → epoch, for every topic that has one. Raises KafkaError, TimeoutError."""
    admin = await _admin(kafka)
    try:
        counts = await _partition_counts(admin)
    finally:
        await admin.close()
    return await _read(kafka) if topics.EPOCHS in counts else {}


async def epochs_of(kafka: Kafka, names: set[str]) -> dict[str, str]:
    """The epochs of these topics. Raises TopicsError naming the first that has none."""
    found = await read_epochs(kafka)
    for name in sorted(names):
        if name not in found:
            raise TopicsError(f"topic {name} has no epoch; `sojourn schema apply` makes topics and their epochs")
    return {name: found[name] for name in names}


async def partitions_of(kafka: Kafka, names: set[str]) -> dict[str, int]:
    """How many partitions these topics have. Raises TopicsError naming the first that does not exist."""
    admin = await _admin(kafka)
    try:
        counts = await _partition_counts(admin)
    finally:
        await admin.close()
    for name in sorted(names):
        if name not in counts:
            raise TopicsError(f"topic {name} does not exist; `sojourn schema apply` makes topics and their epochs")
    return {name: counts[name] for name in names}


async def apply_topics(kafka: Kafka) -> Applied:
    """Create every missing topic and write an epoch for each topic that has none or was created now.

    Can be run again: what is right already stays. An epoch whose topic is gone is withdrawn before the topic is made
    anew, so that no consumer takes the new log for the old one. A topic with a wrong number of partitions is deleted
    and made anew only on the embedded broker and only when it has no epoch yet (an outside producer made it by
    publishing first); else TopicsError. Partitions of a keyed topic are never added: its keys would move.
    """
    wanted = {t.name: t for t in topics.all_topics()}
    admin = await _admin(kafka)
    try:
        counts = await _partition_counts(admin)
        epochs = await _read(kafka) if topics.EPOCHS in counts else {}
        wrong = [n for n, t in wanted.items() if n in counts and counts[n] != (t.partitions or kafka.partitions)]
        for name in wrong:
            expected = wanted[name].partitions or kafka.partitions
            if not kafka.embedded or name in epochs:
                raise TopicsError(
                    f"topic {name} has {counts[name]} partitions, {expected} were expected "
                    "(setting kafka.partitions); delete the topic or change the setting"
                )
            log.warning("topic made anew", topic=name, partitions=expected, before=counts[name])
            _raise_for(await admin.delete_topics([name]))
        missing = [n for n in wanted if n not in counts or n in wrong]
        await _write(kafka, {n: None for n in missing if n in epochs and n != topics.EPOCHS})
        created = await _create(admin, kafka, [wanted[n] for n in missing])
        await _await_partitions(admin, {n: t.partitions or kafka.partitions for n, t in wanted.items()})
    finally:
        await admin.close()
    fresh = {n: str(uuid.uuid4()) for n in wanted if n in created or n not in epochs}
    await _write(kafka, fresh)
    return Applied([n for n in created if n not in wrong], wrong, {**epochs, **fresh})


async def _write(kafka: Kafka, epochs: Mapping[str, str | None]) -> None:
    """None withdraws the epoch of a topic."""
    if not epochs:
        return
    async with Publisher(kafka, client="sojourn-schema") as publisher:
        for name, epoch in epochs.items():
            value = None if epoch is None else epoch.encode()
            await (await publisher.send(topics.EPOCHS, name.encode(), value))


async def _read(kafka: Kafka) -> dict[str, str]:
    found: dict[str, str] = {}
    async for _, records in read_history(kafka, {TopicPartition(topics.EPOCHS, 0): 0}):
        for record in records:
            if record.key is None:
                continue
            if record.value is None:
                found.pop(record.key.decode(), None)
            else:
                found[record.key.decode()] = record.value.decode()
    return found


async def _admin(kafka: Kafka) -> Any:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap, client_id="sojourn-schema")
    try:
        await admin.start()
    except BaseException:
        await admin.close()
        raise
    return admin


async def _partition_counts(admin: Any) -> dict[str, int]:
    # Asking for topics by name would create them on the embedded broker; asking for all does not.
    return {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics()}


async def _create(admin: Any, kafka: Kafka, missing: list[topics.Topic]) -> list[str]:
    """Names of the topics that this call created; those that somebody else created meanwhile are left out."""
    if not missing:
        return []
    response = await admin.create_topics(
        [
            NewTopic(t.name, t.partitions or kafka.partitions, kafka.replication, topic_configs=t.config())
            for t in missing
        ],
        timeout_ms=15_000,
    )
    created = []
    for name, code, *text in response.topic_errors:
        if code == _OK:
            created.append(name)
        elif code != _EXISTS:
            reason = (text[0] if text else None) or for_code(code).__name__
            raise TopicsError(f"topic {name} could not be created: {reason}")
    return created


def _raise_for(response: Any) -> None:
    for name, code in response.topic_error_codes:
        if code != _OK:
            raise TopicsError(f"topic {name} could not be deleted: {for_code(code).__name__}")


async def _await_partitions(admin: Any, expected: dict[str, int], patience: float = 30.0) -> None:
    """Wait until the broker's metadata shows every topic as it was created."""
    deadline = time.monotonic() + patience
    while True:
        counts = await _partition_counts(admin)
        wrong = sorted(name for name, count in expected.items() if counts.get(name) != count)
        if not wrong:
            return
        if time.monotonic() > deadline:
            raise TopicsError(
                f"topic {wrong[0]} has {counts.get(wrong[0], 0)} partitions, {expected[wrong[0]]} were expected"
            )
        await asyncio.sleep(0.05)
