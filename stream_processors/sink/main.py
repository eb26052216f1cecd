"""The sink's process."""

import asyncio
import gc
import signal
import sys

import structlog
from aiokafka.errors import KafkaError

from schemas.settings import Settings, SettingsError
from stream_processors.heartbeat import beat, instance_name, send
from stream_processors.sink.backoff import Backoff
from stream_processors.sink.sink import Sink

log = structlog.get_logger()


def run_sink(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT: settle what was read, commit, leave the group, return 0.

    1 after a failure that waiting does not mend; the supervisor starts the process again.
    """
    # Blocks are tens of thousands of objects without cycles: the default has the collector walk them all the time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        return asyncio.run(_run(settings))
    except SettingsError as error:
        print(f"sojourn sink: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
        return 1


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sink = Sink(settings, instance_name())
    if not await _connect(sink, stop):
        return 0
    beating = asyncio.create_task(beat(sink.publisher, sink.heartbeat))
    try:
        await sink.run(stop)
    except Exception:
        log.exception("the sink failed")
        return 1
    finally:
        beating.cancel()
        try:
            async with asyncio.timeout(0.5):
                # The last word: nothing is owned any more, and the counters are complete.
                await send(sink.publisher, sink.heartbeat())
                await sink.publisher.stop()
        except TimeoutError:
            log.warning("Kafka did not take the last messages in time")
    return 0


async def _connect(sink: Sink, stop: asyncio.Event) -> bool:
    """Wait for the broker; false when asked to stop meanwhile."""
    backoff = Backoff()
    while not stop.is_set():
        try:
            await sink.publisher.start()
        except KafkaError as error:
            log.warning("Kafka does not answer, trying again", error=repr(error))
            await backoff.sleep()
        else:
            return True
    return False
