"""``sojourn generate``: a load into a file or into Kafka, at a rate or as fast as it goes."""

import asyncio
import logging
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import Progress

from deploy.servers import kafka_sentence
from producers.destination import topics_of
from producers.kafka.epochs import TopicsError, epochs_of
from producers.kafka.publisher import Publisher
from producers.load.generate import generate
from producers.load.mix import Mix, Tally
from producers.load.writing import Written
from producers.pace import Pace
from producers.stop_signals import SAME_WISH
from schemas.settings import Kafka

#: The output that is standard output.
STDOUT = "-"
#: Sendings that wait for their acknowledgement while more is made.
_IN_FLIGHT = 4

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_Write = Callable[[list[Written]], Awaitable[None]]


class GenerateError(RuntimeError):
    """The load cannot be written; the text says why."""


def run_generate(kafka: Kafka, mix: Mix, output: str | None, rate: float) -> int:
    """Write the load to ``output``, or publish it when that is None; says on standard error what it came to.

    Returns 0, or 1 when it was stopped before its end. Raises GenerateError.
    """
    return asyncio.run(_run(kafka, mix, output, rate))


async def _run(kafka: Kafka, mix: Mix, output: str | None, rate: float) -> int:
    # The error says in one sentence what the client library would say in many.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def listen_no_more() -> None:
        """Whatever comes from now on ends it at once."""
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def end() -> None:
        stop.set()
        loop.call_later(SAME_WISH, listen_no_more)

    for number in _SIGNALS:
        loop.add_signal_handler(number, end)
    console = Console(stderr=True, highlight=False)
    tally = Tally()
    began = time.monotonic()
    written = 0
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("records", total=mix.records)
            async with _into_kafka(kafka, mix) if output is None else _into_file(output) as write:
                async for count in _paced(mix, tally, rate, write, stop):
                    written += count
                    progress.update(task, completed=written)
    except TopicsError as error:
        raise GenerateError(str(error)) from error
    except (KafkaError, TimeoutError) as error:
        raise GenerateError(kafka_sentence(error, kafka)) from error
    except OSError as error:
        raise GenerateError(f"{output}: {error.strerror or error}") from error
    for line in _summary(tally, written, time.monotonic() - began):
        console.print(line, markup=False, soft_wrap=True)
    return 1 if written < mix.records else 0


async def _paced(mix: Mix, tally: Tally, rate: float, write: _Write, stop: asyncio.Event) -> AsyncIterator[int]:
    """Writes all, and gives the number of lines each time some are written."""
    pace = Pace(rate, stop)
    for batch in generate(mix, tally):
        for lines in pace.slices(batch):
            await write(lines)
            yield len(lines)
            await pace.wait(len(lines))
            # Signals are heard here, when nothing else waits.
            await asyncio.sleep(0)
            if stop.is_set():
                return


@asynccontextmanager
async def _into_file(output: str) -> AsyncIterator[_Write]:
    def writing(file: BinaryIO) -> _Write:
        async def write(lines: list[Written]) -> None:
            file.write(b"".join([one.line + b"\n" for one in lines]))

        return write

    if output == STDOUT:
        yield writing(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with await asyncio.to_thread(Path(output).open, "wb") as file:
        yield writing(file)


@asynccontextmanager
async def _into_kafka(kafka: Kafka, mix: Mix) -> AsyncIterator[_Write]:
    """Everything is acknowledged when the context ends well."""
    waiting: deque[asyncio.Future[list[Any]]] = deque()
    async with Publisher(kafka, client="sojourn-generate") as publisher:
        # Publishing would make the topics with a wrong number of partitions.
        await epochs_of(kafka, topics_of(mix.format))

        async def write(lines: list[Written]) -> None:
            sent = await publisher.send_all((one.topic, (one.key, one.line, ())) for one in lines)
            waiting.append(asyncio.gather(*sent))
            if len(waiting) > _IN_FLIGHT:
                await waiting.popleft()

        try:
            yield write
            while waiting:
                await waiting.popleft()
        finally:
            await asyncio.gather(*waiting, return_exceptions=True)


def _summary(tally: Tally, written: int, seconds: float) -> list[str]:
    speed = f", {written / seconds:,.0f}/s" if seconds >= 1 else ""
    line = f"written {written:,} lines in {seconds:.1f} s{speed}"
    if written < tally.written:
        return [f"{line}, stopped before the end"]
    return [
        f"{line}: {tally.sessions:,} sessions over {tally.seconds:,.1f} s of event time",
        f"lost {tally.lost:,}, damaged {tally.bad:,}, second copies {tally.doubled:,}, late {tally.late:,}",
    ]
