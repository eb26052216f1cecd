"""Reads the topic of heartbeats into ``Health``, and notes that Kafka answers. Starts over after any loss."""

import asyncio
import time

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from producers.kafka.consumer import LogConsumer
from producers.kafka.epochs import TopicsError, epochs_of
from query_api.health import FRESH, Health
from schemas.health import Heartbeat
from schemas.settings import Kafka
from schemas.times import SECOND
from schemas.topics import HEALTH

log = structlog.get_logger()

_PARTITION = TopicPartition(HEALTH, 0)
_RETRY = 1.0
_WAIT = 0.5
_PROBE = 2.0
#: Instances silent for this long are forgotten.
_GONE = 600 * SECOND
_decode = msgspec.json.Decoder(Heartbeat).decode


async def follow(kafka: Kafka, health: Health) -> None:
    """Runs until cancelled. Worker and sink speak once a second, so what was said before we came is not needed:
    their silence, with Kafka's, is what readiness is about."""
    while True:
        consumer = LogConsumer(kafka, client="sojourn-api-health")
        try:
            await consumer.assign({_PARTITION: None})
            health.kafka_answered = _now()
            while True:
                poll = await consumer.poll(_WAIT)
                for fetched in poll.fetched:
                    health.kafka_answered = _now()
                    for record in fetched.records:
                        _take(health, record.value)
                if _now() - health.kafka_answered > FRESH // 2:
                    # Nobody speaks: either worker and sink are away, or Kafka is. A new connection tells which.
                    async with asyncio.timeout(_PROBE):
                        await epochs_of(kafka, {HEALTH})
                    health.kafka_answered = _now()
        except (KafkaError, OSError, TimeoutError) as error:
            health.kafka_problem = "Kafka cannot be reached"
            log.warning("heartbeats cannot be read", error=repr(error))
        except TopicsError as error:
            health.kafka_problem = f"Kafka's topics are not ready: {error}"
        finally:
            await consumer.stop()
        await asyncio.sleep(_RETRY)


def _take(health: Health, value: bytes | None) -> None:
    if value is None:
        return
    try:
        health.take(_decode(value))
    except msgspec.DecodeError as error:
        log.warning("a heartbeat cannot be read", error=str(error))
    health.forget_before(_now() - _GONE)


def _now() -> int:
    return time.time_ns() // 1000
