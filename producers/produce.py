"""Publishing files of sensor records: what `sojourn produce` does.

Each line is decoded once to see that it can be, and published as it stands: decoding is the consumer's. A line that
cannot be decoded is not published but reported with its number.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from aiokafka.errors import KafkaError

from producers.destination import FORMATS, Destination, destination_of, topics_of
from producers.formats import Rejection
from producers.inputs.lines import Line
from producers.inputs.positions import Positions, PositionsError, default_path
from producers.inputs.reading import read_all
from producers.kafka.epochs import TopicsError, epochs_of
from producers.kafka.publisher import Item, Publisher
from producers.kafka.recycling import Recycling
from producers.pace import Pace
from producers.produce_report import Report
from producers.record_ids import IMPORT_HEADER, RecordIds
from schemas.dead_letters import Reason
from schemas.settings import Settings

#: Seconds between two times that positions are kept.
_KEEP = 1.0

#: Connecting is tried so often, with pauses that double from the first (seconds).
_CONNECT_TRIES = 5
_FIRST_PAUSE = 0.5


async def produce(
    settings: Settings,
    format_name: str,
    paths: Sequence[str],
    *,
    follow_files: bool = False,
    rate: float = 0.0,
    positions: Positions | None = None,
    from_start: bool = False,
    stop: asyncio.Event | None = None,
    report: Report | None = None,
) -> Report:
    """Publish the lines of files (names, globs, directories, "-", "journal:") and say what became of them.

    Followed files go on where an earlier call stopped: ``positions`` are kept in the data folder unless given, and
    ``from_start`` forgets them. ``rate`` bounds the lines per second, 0 does not. ``stop`` ends it early: what was read
    is published first. A caller that wants to watch passes the ``report``, which is kept current. Nothing is raised for
    bad lines, bad files or an absent broker: the report has them. Raises ValueError for an unknown format,
    SettingsError for a setting of it.
    """
    if format_name not in FORMATS:
        raise ValueError(f"unknown format {format_name}; there are {', '.join(FORMATS)}")
    stop = stop or asyncio.Event()
    report = report or Report(format=format_name)
    report.following = follow_files
    door = _Door(settings, topics_of(format_name), report, stop)
    keeping: asyncio.Task[None] | None = None
    try:
        if not follow_files:
            positions = None
        else:
            positions = positions or positions_of(settings, format_name, paths)
            positions.open(from_start=from_start)
            report.positions = str(positions.path)
            keeping = asyncio.create_task(_keep(positions))
        reading = read_all(settings, format_name, paths, positions, stop, report)
        await door.open()
        pace = Pace(rate, stop)
        async with aclosing(reading) as batches:
            async for batch in batches:
                for slice_ in pace.slices(batch.lines):
                    checked = check(format_name, batch.path, slice_, batch.ids, settings, report)
                    await door.deliver(checked)
                    report.published += len(checked)
                    await pace.wait(len(slice_))
                batch.delivered()
                if keeping is not None and keeping.done():
                    keeping.result()
    except (KafkaError, TopicsError, TimeoutError, PositionsError) as error:
        said = isinstance(error, TopicsError | PositionsError)
        report.failure = str(error) if said else _sentence(settings, error)
    finally:
        await door.close()
        if keeping is not None:
            keeping.cancel()
        if positions is not None:
            _close(positions, report)
        report.stopped = stop.is_set()
        report.seconds = time.monotonic() - report.started
    return report


def positions_of(settings: Settings, format_name: str, paths: Sequence[str], file: str = "") -> Positions:
    """Where a call with ``--follow`` keeps its positions: in ``file``, else in the data folder."""
    kafka = settings.kafka.bootstrap
    where = Path(file) if file else default_path(settings.data, format_name, kafka, paths)
    return Positions(where, format_name, kafka, paths)


async def _keep(positions: Positions) -> None:
    """Until cancelled. Raises PositionsError."""
    while True:
        await asyncio.sleep(_KEEP)
        positions.save()


def _close(positions: Positions, report: Report) -> None:
    try:
        positions.close()
    except PositionsError as error:
        report.failure = report.failure or str(error)


def check(
    format_name: str, path: str, lines: list[Line], ids: RecordIds, settings: Settings, report: Report
) -> list[tuple[Destination, Item]]:
    """What of the lines can be published; the others go into the report."""
    checked: list[tuple[Destination, Item]] = []
    for line in lines:
        if line.value is None:
            report.lines += 1
            longest = f"at most {settings.kafka.max_message_bytes} bytes; the line has {line.size}"
            report.reject(path, line.number, Rejection(Reason.TOO_LARGE, expected=longest))
            continue
        if not line.value.strip():
            continue
        report.lines += 1
        destination = destination_of(format_name, line.value)
        if isinstance(destination, Rejection):
            report.reject(path, line.number, destination)
            continue
        record_id = ids.next(destination.sensor, line.value).encode()
        # Equal ids must meet in one partition, so a record that names no connection is keyed by its id.
        key = destination.key or record_id
        checked.append((destination, (key, line.value, (("record_id", record_id), IMPORT_HEADER))))
    return checked


class _Door:
    """The way into Kafka: tried again while it cannot be reached, shut while the embedded broker starts anew."""

    def __init__(self, settings: Settings, names: set[str], report: Report, stop: asyncio.Event) -> None:
        self._settings = settings
        self._names = names
        self._report = report
        self._stop = stop
        self._publisher = Publisher(settings.kafka, client="sojourn-produce")
        self._recycling = Recycling(settings.kafka)
        self._epochs: dict[str, str] = {}

    async def open(self) -> None:
        """Connect and see that the topics are there: publishing would make them with a wrong number of partitions."""
        pause = _FIRST_PAUSE
        for tries_left in reversed(range(_CONNECT_TRIES)):
            try:
                await self._publisher.start()
                self._epochs = await epochs_of(self._settings.kafka, self._names)
                await self._recycling.start()
                return
            except (KafkaError, TimeoutError):
                await self._publisher.stop()
                if not tries_left or self._stop.is_set():
                    raise
            await asyncio.sleep(pause)
            pause *= 2

    async def close(self) -> None:
        """Disconnect; everything delivered is acknowledged."""
        await self._recycling.stop()
        await self._publisher.stop()

    async def deliver(self, checked: list[tuple[Destination, Item]]) -> None:
        """Send and wait until all is acknowledged. The client tries for 40 s; raises KafkaError after that."""
        while True:
            if self._recycling.word:
                await self._wait()
            await self._send(checked)
            if not self._recycling.word:
                return
            # The word came meanwhile: this may have been too late for the drain. Once more, it has the same ids.

    async def _wait(self) -> None:
        self._report.waiting = self._recycling.word
        await self._recycling.next_broker(self._names, self._epochs, self._stop)
        self._report.waiting = ""
        # No client lives through a broker's end (producers.kafka.consumer).
        await self.close()
        await self.open()

    async def _send(self, checked: list[tuple[Destination, Item]]) -> None:
        sent = await self._publisher.send_all((destination.topic, item) for destination, item in checked)
        for answer in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer


def _sentence(settings: Settings, error: Exception) -> str:
    reason = str(error) or type(error).__name__
    return f"Kafka at {settings.kafka.bootstrap} does not answer or refused the records ({reason})"
