"""What the worker says of itself once a second on ``sojourn.health``: where it stands, and what it waits for."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
import structlog
from aiokafka.errors import KafkaError

from producers.kafka.publisher import Publisher
from schemas import topics
from schemas.health import Heartbeat, PartitionHealth

if TYPE_CHECKING:
    # The sink beats too, and starts sooner without Faust.
    from faust.types import TP

log = structlog.get_logger()

_INTERVAL = 1.0
_encode = msgspec.json.Encoder().encode

#: Position and high-water mark of each assigned partition.
Marks = Mapping["TP", tuple[int, int | None]]


def instance_name() -> str:
    """This process among all workers."""
    return f"{socket.gethostname()}-{os.getpid()}"


def heartbeat(instance: str, generation: int, marks: Marks, counters: Mapping[str, int], message: str) -> Heartbeat:
    """The heartbeat of this moment."""
    return Heartbeat(
        component="worker",
        instance=instance,
        time=time.time_ns() // 1000,
        generation=generation,
        partitions=[
            PartitionHealth(tp.topic, tp.partition, position, highwater)
            for tp, (position, highwater) in sorted(marks.items())
        ],
        counters=dict(counters),
        message=message,
    )


async def beat(publisher: Publisher, current: Callable[[], Heartbeat]) -> None:
    """Publish a heartbeat each second, until cancelled."""
    while True:
        await send(publisher, current())
        await asyncio.sleep(_INTERVAL)


async def send(publisher: Publisher, now: Heartbeat) -> None:
    """Publish one heartbeat. One that cannot be sent is replaced by the next."""
    try:
        key = f"{now.component}/{now.instance}".encode()
        await (await publisher.send(topics.HEALTH, key, _encode(now), partition=0))
    except KafkaError as error:
        log.warning("heartbeat was not sent", error=repr(error))
