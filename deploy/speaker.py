"""What ``sojourn up`` says of the embedded broker on ``sojourn.health``, once a second, while that broker lives."""

import asyncio
import time

from aiokafka.errors import KafkaError

from producers.cancelling import cancel
from producers.kafka.publisher import Publisher
from schemas.health import Heartbeat
from schemas.settings import Kafka
from stream_processors.heartbeat import instance_name, send

_INTERVAL = 1.0


class Speaker:
    """``start`` it when the topics are made, ``stop`` it before the broker ends: no client lives through that."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._publisher: Publisher | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._word = ""
        self.memory = 0
        self.recycles = 0

    async def start(self) -> None:
        self._word = ""
        self._speaking = asyncio.create_task(self._speak())

    async def stop(self) -> None:
        speaking, self._speaking = self._speaking, None
        if speaking is not None:
            await cancel(speaking)

    async def say(self, word: str) -> None:
        """Say it now and from now on."""
        self._word = word
        if self._publisher is not None:
            await send(self._publisher, self._heartbeat())

    async def _speak(self) -> None:
        while True:
            publisher = Publisher(self._kafka, client="sojourn-up", linger_ms=0)
            try:
                await publisher.start()
                self._publisher = publisher
                while True:
                    await send(publisher, self._heartbeat())
                    await asyncio.sleep(_INTERVAL)
            except KafkaError:
                # It is the broker's end, or its beginning; the supervisor reports both.
                await asyncio.sleep(_INTERVAL)
            finally:
                self._publisher = None
                await publisher.abandon()

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            component="broker",
            instance=instance_name(),
            time=time.time_ns() // 1000,
            generation=0,
            counters={"broker_recycles_total": self.recycles, "broker_memory_bytes": self.memory},
            message=self._word,
        )
