"""What every process of this room begins with: a word that asks it to stop, and Kafka."""

import asyncio
import signal

import structlog
from aiokafka.errors import KafkaError

from producers.kafka.publisher import Publisher
from stream_processors.backoff import Backoff

log = structlog.get_logger()


def stop_asked() -> asyncio.Event:
    """Set by SIGTERM or SIGINT from now on; call it in the process's event loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def connected(publisher: Publisher, stop: asyncio.Event) -> bool:
    """Wait for the broker; false when asked to stop meanwhile."""
    backoff = Backoff()
    while not stop.is_set():
        try:
            await publisher.start()
        except KafkaError as error:
            log.warning("Kafka does not answer, trying again", error=repr(error))
            await backoff.sleep()
        else:
            return True
    return False
