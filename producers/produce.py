"""Publishing files of sensor records: what `sojourn produce` does.

Each line is decoded once to see that it can be, and published as it stands: decoding is the consumer's. A line that
cannot be decoded is not published but reported with its number.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

from aiokafka.errors import KafkaError

from producers.database import event_rows, is_database
from producers.destination import FORMATS, Destination, destination_of, topics_of
from producers.files import UnreadableFileError, expand, follow, lines_of, size_of
from producers.formats import Rejection
from producers.kafka.epochs import TopicsError, epochs_of
from producers.kafka.publisher import Item, Publisher
from producers.kafka.recycling import Recycling
from producers.lines import Line
from producers.pace import Pace
from producers.produce_report import Report
from producers.record_ids import IMPORT_HEADER, RecordIds
from producers.tables import Table, converted, table_of, zone_of
from schemas.dead_letters import Reason
from schemas.settings import Settings

#: Connecting is tried so often, with pauses that double from the first (seconds).
_CONNECT_TRIES = 5
_FIRST_PAUSE = 0.5

#: Chunks of lines of followed files that wait for their turn.
_WAITING = 8


async def produce(
    settings: Settings,
    format_name: str,
    paths: Sequence[str],
    *,
    follow_files: bool = False,
    rate: float = 0.0,
    stop: asyncio.Event | None = None,
    report: Report | None = None,
) -> Report:
    """Publish the lines of files (names, globs, "-") and say what became of them.

    ``rate`` bounds the lines per second, 0 does not. ``stop`` ends it early: what was read is published first. A caller
    that wants to watch passes the ``report``, which is kept current. Nothing is raised for bad lines, bad files or an
    absent broker: the report has them. Raises ValueError for an unknown format, SettingsError for a setting of it.
    """
    if format_name not in FORMATS:
        raise ValueError(f"unknown format {format_name}; there are {', '.join(FORMATS)}")
    stop = stop or asyncio.Event()
    report = report or Report(format=format_name)
    files = expand(paths)
    sizes = [size_of(path) for path in files]
    report.bytes_total = None if None in sizes or follow_files else sum(size for size in sizes if size is not None)
    door = _Door(settings, topics_of(format_name), report, stop)
    try:
        await door.open()
        pace = Pace(rate, stop)
        ids: dict[str, RecordIds] = {}
        report.following = follow_files
        begin = table_of(format_name, settings) or _Plain
        read = _followed if follow_files else _read
        lines = read(files, settings, begin, stop, report)
        async for path, some in lines:
            if some[0].number == 1:
                # A file begins: another one, or the successor of one that was rotated.
                if not follow_files:
                    ids.clear()
                ids[path] = RecordIds()
            for slice_ in pace.slices(some):
                checked = _check(format_name, path, slice_, ids[path], settings, report)
                await door.deliver(checked)
                report.published += len(checked)
                await pace.wait(len(slice_))
    except (KafkaError, TopicsError, TimeoutError) as error:
        report.failure = str(error) if isinstance(error, TopicsError) else _sentence(settings, error)
    finally:
        await door.close()
        report.stopped = stop.is_set()
        report.seconds = time.monotonic() - report.started
    return report


class _Plain:
    """A file whose lines speak for themselves."""

    def convert(self, text: str) -> bytes | None:
        """The line as it stands."""
        return text.encode()


async def _read(
    files: list[str], settings: Settings, begin: Callable[[], Table], stop: asyncio.Event, report: Report
) -> AsyncIterator[tuple[str, list[Line]]]:
    """All files, one after the other."""
    for path in files:
        table = begin()
        try:
            if report.format == "netalertx" and is_database(path):
                async for lines in event_rows(path, zone_of(settings), stop):
                    yield path, lines
                report.bytes_read += size_of(path) or 0
                continue
            async for lines in lines_of(path, settings.kafka.max_message_bytes, stop, _counting(report)):
                if lines:
                    yield path, converted(lines, table)
        except UnreadableFileError as error:
            report.unreadable[path] = str(error)
        if stop.is_set():
            return


async def _followed(
    files: list[str], settings: Settings, begin: Callable[[], Table], stop: asyncio.Event, report: Report
) -> AsyncIterator[tuple[str, list[Line]]]:
    """All files at once, until ``stop``; what a file could not give stands in the report."""
    waiting: asyncio.Queue[tuple[str, list[Line]] | None] = asyncio.Queue(_WAITING)

    async def read(path: str) -> None:
        table = begin()
        try:
            if report.format == "netalertx" and is_database(path):
                raise UnreadableFileError("a database cannot be followed")
            async for lines in follow(path, settings.kafka.max_message_bytes, stop, _counting(report)):
                if lines and lines[0].number == 1:
                    table = begin()
                if lines:
                    await waiting.put((path, converted(lines, table)))
        except UnreadableFileError as error:
            report.unreadable[path] = str(error)

    async def read_all() -> None:
        try:
            await asyncio.gather(*(read(path) for path in files))
        finally:
            await waiting.put(None)

    reading = asyncio.create_task(read_all())
    try:
        while (item := await waiting.get()) is not None:
            yield item
        await reading
    finally:
        reading.cancel()


def _counting(report: Report) -> Callable[[int], None]:
    def count(size: int) -> None:
        report.bytes_read += size

    return count


def _check(
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
