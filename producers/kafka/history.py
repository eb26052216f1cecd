"""What a log holds up to now: from given offsets to the high-water mark of the first fetch.

``ListOffsets(latest)`` is wrong on the embedded broker; the mark that comes with a fetch is right everywhere.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from producers.kafka.holes import HoleCheck, expects_no_holes
from producers.kafka.message import Message, isolation_level
from producers.kafka.stopping import stop_consumer
from schemas.metrics import Counters
from schemas.settings import Kafka

log = structlog.get_logger()


async def read_history(
    kafka: Kafka,
    starts: Mapping[TopicPartition, int],
    *,
    patience: float = 15.0,
    counters: Counters | None = None,
) -> AsyncGenerator[tuple[TopicPartition, Sequence[Message]], None]:
    """Records of each partition from its offset up to the high-water mark at the time of its first fetch.

    Partitions come interleaved, records of one partition in order. Raises TimeoutError when nothing comes for
    ``patience`` seconds, KafkaError when the broker is lost. Holes are counted in ``counters``.

    Topics that do not exist must not be asked for: the broker may create them.
    """
    if not starts:
        return
    counted = counters or Counters()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap,
        client_id="sojourn-history",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=min(kafka.fetch_max_wait_ms, 50),
        max_partition_fetch_bytes=max(4 << 20, kafka.max_message_bytes),
        isolation_level=isolation_level(kafka),
    )
    try:
        await consumer.start()
        consumer.assign(list(starts))
        checks = {}
        for partition, offset in starts.items():
            consumer.seek(partition, offset)
            checks[partition] = HoleCheck(kafka.hole_wait, offset)
        marks: dict[TopicPartition, int] = {}
        todo = set(starts)
        moved = time.monotonic()
        while todo:
            fetched = await consumer.getmany(*todo, timeout_ms=100)
            for partition, records in fetched.items():
                moved = time.monotonic()
                marks.setdefault(partition, consumer.highwater(partition))
                wanted: Sequence[Message] = [r for r in records if r.offset < marks[partition]]
                if expects_no_holes(kafka, partition.topic):
                    check = checks[partition]
                    seen = check.seen
                    checked = check.feed(wanted, time.monotonic())
                    counted.add("holes_seen_total", check.seen - seen)
                    wanted = checked.good
                    counted.add("holes_passed_total", len(checked.passed))
                    for gap in checked.passed:
                        log.error("hole passed", partition=str(partition), first=gap.first, last=gap.last)
                    if checked.seek_to is not None:
                        consumer.seek(partition, checked.seek_to)
                        await asyncio.sleep(0.02)
                if wanted:
                    yield partition, wanted
            for partition in list(todo):
                mark = consumer.highwater(partition)
                if mark is not None:
                    marks.setdefault(partition, mark)
                if partition in marks and await consumer.position(partition) >= marks[partition]:
                    todo.discard(partition)
                    consumer.pause(partition)
            if todo and time.monotonic() - moved > patience:
                raise TimeoutError(f"{sorted(todo)[0]} gave nothing for {patience:.0f} s; its mark is {marks}")
    finally:
        await stop_consumer(consumer)
