"""Hears whether ``sojourn up`` is about to start the embedded broker anew: until then nothing new is published.

It says so on ``sojourn.health`` a moment before it holds back everybody (deploy.recycling).
"""

import asyncio
import contextlib

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from producers.cancelling import cancel
from producers.kafka.consumer import LogConsumer
from producers.kafka.epochs import TopicsError, epochs_of
from schemas.health import Heartbeat
from schemas.settings import Kafka
from schemas.topics import HEALTH

log = structlog.get_logger()

_PARTITION = TopicPartition(HEALTH, 0)
_RETRY = 0.5
_decode = msgspec.json.Decoder(Heartbeat).decode


class Recycling:
    """``word`` is what is said while no new records are taken, else empty. Deaf for any broker but the embedded one."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._listening: asyncio.Task[None] | None = None
        self.word = ""

    async def start(self) -> None:
        self.word = ""
        if self._kafka.embedded:
            self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            await cancel(listening)

    async def next_broker(self, names: set[str], epochs: dict[str, str], stop: asyncio.Event) -> None:
        """Return when these topics have other epochs than ``epochs``: the next broker is ready; or when the word was
        taken back, or at ``stop``."""
        while not stop.is_set() and self.word:
            await asyncio.sleep(_RETRY)
            # It does not answer while it is held back or away, and its topics are not all made at once.
            with contextlib.suppress(KafkaError, TopicsError, TimeoutError, OSError):
                async with asyncio.timeout(5):
                    if await epochs_of(self._kafka, names) != epochs:
                        return

    async def _listen(self) -> None:
        while True:
            consumer = LogConsumer(self._kafka, client="sojourn-recycling")
            try:
                await consumer.assign({_PARTITION: None})
                while True:
                    for fetched in (await consumer.poll(_RETRY)).fetched:
                        for record in fetched.records:
                            self._take(record.value)
            except (KafkaError, TopicsError, TimeoutError, OSError) as error:
                log.debug("the embedded broker's word cannot be heard", error=repr(error))
            finally:
                await consumer.stop()
            await asyncio.sleep(_RETRY)

    def _take(self, value: bytes | None) -> None:
        if value is None:
            return
        try:
            heartbeat = _decode(value)
        except msgspec.DecodeError as error:
            log.debug("a heartbeat cannot be read", error=str(error))
            return
        if heartbeat.component == "broker":
            self.word = heartbeat.message
