"""What the first lines of files would be: `sojourn produce --dry-run`. It needs no Kafka."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from producers.destination import FORMATS, Readable, readable
from producers.formats import Rejection
from producers.inputs.reading import read_all
from producers.produce_report import Report
from schemas.dead_letters import Reason
from schemas.settings import Settings

#: Lines that are shown.
SHOWN = 10

_encode = msgspec.json.Encoder(order="deterministic").encode


def run_dry(settings: Settings, format_name: str, paths: Sequence[str]) -> int:
    """Prints a JSON object for each of the first lines: its records, or why there are none. Returns the exit code.

    0: every line is a record; 1: some are none, or a file cannot be read to there; 2: nothing could be read. Raises
    ValueError for an unknown format.
    """
    if format_name not in FORMATS:
        raise ValueError(f"unknown format {format_name}; there are {', '.join(FORMATS)}")
    return asyncio.run(_run(settings, format_name, paths))


async def _run(settings: Settings, format_name: str, paths: Sequence[str]) -> int:
    report = Report(format=format_name)
    async with aclosing(_shown(settings, format_name, paths, report)) as lines:
        async for line in lines:
            sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()
    for path, why in report.unreadable.items():
        sys.stderr.write(f"could not read {path}: {why}\n")
    return report.exit_code


async def _shown(
    settings: Settings, format_name: str, paths: Sequence[str], report: Report
) -> AsyncGenerator[bytes, None]:
    async with aclosing(read_all(settings, format_name, paths, None, asyncio.Event(), report)) as batches:
        async for batch in batches:
            for line in batch.lines:
                if line.value is not None and not line.value.strip():
                    continue
                report.lines += 1
                said = _said(settings, format_name, line.value)
                if isinstance(said, Rejection):
                    report.reject(batch.path, line.number, said)
                yield _object(batch.path, line.number, said)
                if report.lines == SHOWN:
                    return


def _said(settings: Settings, format_name: str, value: bytes | None) -> Readable | Rejection:
    if value is None:
        return Rejection(Reason.TOO_LARGE, expected=f"at most {settings.kafka.max_message_bytes} bytes")
    return readable(format_name, value)


def _object(path: str, number: int, said: Readable | Rejection) -> bytes:
    shown: dict[str, object] = {"file": path, "line": number}
    if isinstance(said, Rejection):
        shown |= {"rejected": said.reason, "field": said.field, "expected": said.expected}
    else:
        records = [
            {"event": each.event} if each.connection is None else {"event": each.event, "connection": each.connection}
            for each in said.records
        ]
        shown |= {"topic": said.topic, "records": records}
    return _encode(shown)
