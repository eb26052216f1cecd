"""The sink's process."""

import asyncio
import gc
import sys

import structlog

from schemas.settings import Settings, SettingsError
from stream_processors.heartbeat import beat, instance_name, send
from stream_processors.lean_records import use_lean_records
from stream_processors.sink.sink import Sink
from stream_processors.starting import connected, stop_asked

log = structlog.get_logger()


def run_sink(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT: settle what was read, commit, leave the group, return 0.

    1 after a failure that waiting does not mend; the supervisor starts the process again.
    """
    use_lean_records()
    # Blocks are tens of thousands of objects without cycles: the default has the collector walk them all the time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        return asyncio.run(_run(settings))
    except SettingsError as error:
        print(f"sojourn sink: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
        return 1


async def _run(settings: Settings) -> int:
    stop = stop_asked()
    sink = Sink(settings, instance_name())
    if not await connected(sink.publisher, stop):
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
