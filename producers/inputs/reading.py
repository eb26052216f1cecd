"""Everything that `sojourn produce` reads lines from: files in turn, or several sources at once that are followed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from producers.batch import Batch
from producers.destination import destination_of
from producers.formats import Rejection
from producers.inputs.database import event_rows, is_database
from producers.inputs.files import STDIN, UnreadableFileError, expand, lines_of, size_of
from producers.inputs.following import Following
from producers.inputs.journal import PREFIX, journal_batches
from producers.inputs.lines import Line
from producers.inputs.positions import Positions, default_path
from producers.inputs.scans import Scans
from producers.inputs.tables import Table, converted, table_of, zone_of
from producers.produce_report import Report
from producers.record_ids import RecordIds
from schemas.settings import Settings

#: The format whose files may be scans of a network.
_SCANNED = "netalertx"

_Source = AsyncGenerator[Batch, None]


class _Plain:
    """A file whose lines speak for themselves."""

    def convert(self, text: str) -> bytes | None:
        """The line as it stands."""
        return text.encode()


def read_all(
    settings: Settings,
    format_name: str,
    paths: Sequence[str],
    positions: Positions | None,
    stop: asyncio.Event,
    report: Report,
) -> AsyncGenerator[Batch, None]:
    """All sources: one after the other, or followed where there are ``positions``.

    What a source could not give stands in the report. Raises SettingsError.
    """
    begin = table_of(format_name, settings) or _Plain
    scans = Scans(default_path(settings.data, "netalertx-scans", settings.kafka.bootstrap, ()))
    if positions is None:
        return _in_turn(settings, format_name, paths, begin, scans, stop, report)
    longest = settings.kafka.max_message_bytes
    sources: list[tuple[str, _Source]] = []
    files = []
    for path in dict.fromkeys(paths):
        if path.startswith(PREFIX):
            journal = journal_batches(path, format_name, longest, stop, _counting(report), positions)
            sources.append((path, journal))
        elif path == STDIN:
            sources.append((path, _file(path, format_name, settings, begin, stop, report)))
        else:
            files.append(path)
    if files:
        following = Following(files, positions, begin, _identify(format_name), longest, _counting(report))
        # Its own dict: what could not be read may be readable later.
        report.unreadable = following.failed
        sources.append(("", following.batches(stop)))
    batches = _at_once(sources, report)
    return batches if format_name != _SCANNED else _compared(batches, scans, stop, report, follow=True)


async def _compared(
    batches: _Source, scans: Scans, stop: asyncio.Event, report: Report, *, follow: bool, path: str = ""
) -> AsyncGenerator[Batch, None]:
    """With what scans of a network say when they are compared. A scan that is followed is complete when the next one
    begins, else at the end of its file, which is ``path``."""
    number, ids = 0, RecordIds()

    def keeping(delivered: Callable[[], None]) -> Callable[[], None]:
        def both() -> None:
            scans.save()
            delivered()

        return both

    try:
        async with aclosing(batches):
            async for batch in batches:
                path, number, ids = batch.path, batch.lines[-1].number, batch.ids
                yield Batch(path, scans.compared(batch.lines), ids, keeping(batch.delivered))
        if not follow and not stop.is_set():
            yield Batch(path, scans.ended(number), ids, scans.save)
    except UnreadableFileError as error:
        report.unreadable[path] = str(error)
    finally:
        if follow:
            scans.close()


async def _in_turn(
    settings: Settings,
    format_name: str,
    paths: Sequence[str],
    begin: Callable[[], Table],
    scans: Scans,
    stop: asyncio.Event,
    report: Report,
) -> AsyncGenerator[Batch, None]:
    files = expand(paths)
    sizes = [size_of(path) for path in files]
    report.bytes_total = None if None in sizes else sum(size for size in sizes if size is not None)
    longest = settings.kafka.max_message_bytes
    try:
        for path in files:
            source = (
                journal_batches(path, format_name, longest, stop, _counting(report), None)
                if path.startswith(PREFIX)
                else _file(path, format_name, settings, begin, stop, report)
            )
            if format_name == _SCANNED:
                source = _compared(source, scans, stop, report, follow=False, path=path)
            try:
                async for batch in source:
                    yield batch
            except UnreadableFileError as error:
                report.unreadable[path] = str(error)
            if stop.is_set():
                return
    finally:
        scans.close()


async def _file(
    path: str,
    format_name: str,
    settings: Settings,
    begin: Callable[[], Table],
    stop: asyncio.Event,
    report: Report,
) -> AsyncGenerator[Batch, None]:
    """One file to its end."""
    table, ids = begin(), RecordIds()
    if format_name == "netalertx" and is_database(path):
        async for lines in event_rows(path, zone_of(settings), stop):
            yield Batch(path, lines, ids)
        report.bytes_read += size_of(path) or 0
        return
    async for lines in lines_of(path, settings.kafka.max_message_bytes, stop, _counting(report)):
        if lines:
            yield Batch(path, converted(lines, table), ids)


async def _at_once(sources: Sequence[tuple[str, _Source]], report: Report) -> AsyncGenerator[Batch, None]:
    """A batch of each in turn as they have some: none is asked for its next one before the last was delivered."""
    waiting: asyncio.Queue[tuple[Batch, asyncio.Event]] = asyncio.Queue(1)

    async def read(name: str, source: _Source) -> None:
        try:
            async with aclosing(source) as batches:
                async for batch in batches:
                    delivered = asyncio.Event()
                    await waiting.put((batch, delivered))
                    await delivered.wait()
        except UnreadableFileError as error:
            report.unreadable[name] = str(error)

    tasks = [asyncio.create_task(read(name, source)) for name, source in sources]
    reading = asyncio.gather(*tasks)
    try:
        while not reading.done() or not waiting.empty():
            getting = asyncio.ensure_future(waiting.get())
            either: set[asyncio.Future[Any]] = {getting, reading}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                continue
            batch, delivered = getting.result()
            yield batch
            delivered.set()
        await reading
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _identify(format_name: str) -> Callable[[list[Line], RecordIds], None]:
    def identify(lines: list[Line], ids: RecordIds) -> None:
        for line in lines:
            if line.value is None or not line.value.strip():
                continue
            destination = destination_of(format_name, line.value)
            if not isinstance(destination, Rejection):
                ids.next(destination.sensor, line.value)

    return identify


def _counting(report: Report) -> Callable[[int], None]:
    def count(size: int) -> None:
        report.bytes_read += size

    return count
