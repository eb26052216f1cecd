"""What a person sees of `sojourn produce`: progress while it runs, at the end what was published, rejected and why."""

import asyncio
import logging
import signal
import time
from collections import deque
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from producers.inputs.positions import Positions
from producers.produce import positions_of, produce
from producers.produce_report import Report
from producers.stop_signals import StopSignals
from schemas.settings import Settings

#: Seconds between two looks at the counts.
_REFRESH = 0.1
#: The rate that is shown is that of the last so many looks.
_LOOKS = 30


def run_produce(
    settings: Settings,
    format_name: str,
    paths: Sequence[str],
    *,
    follow_files: bool = False,
    rate: float = 0.0,
    positions: str = "",
    from_start: bool = False,
) -> int:
    """Publish, show progress and the summary on standard error; returns the exit code.

    Ctrl-C and SIGTERM end it cleanly: what was read is published and the summary shown; another one a second later or
    more ends it at once. 0: all was published; 1: lines were rejected or a file ended too early; 2: nothing could be
    read, or Kafka is away. Raises ValueError for an unknown format.
    """
    kept = positions_of(settings, format_name, paths, positions) if follow_files else None
    return asyncio.run(_run(settings, format_name, paths, rate, kept, from_start))


async def _run(
    settings: Settings,
    format_name: str,
    paths: Sequence[str],
    rate: float,
    positions: Positions | None,
    from_start: bool,
) -> int:
    # The report says in one sentence what the client library would say in many.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    console = Console(stderr=True, highlight=False)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    report = Report(format=format_name)
    publishing = asyncio.ensure_future(
        produce(
            *(settings, format_name, paths),
            follow_files=positions is not None,
            rate=rate,
            positions=positions,
            from_start=from_start,
            stop=stop,
            report=report,
        )
    )
    signals = StopSignals(stop.set, publishing.cancel)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals)
    try:
        if console.is_terminal:
            await _watch(publishing, report, console)
        await publishing
    except asyncio.CancelledError:
        report.stopped = True
        report.failure = "ended before everything that was read was published"
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    for line in summary(report):
        console.print(line, markup=False, soft_wrap=True)
    return report.exit_code


async def _watch(publishing: asyncio.Future[Report], report: Report, console: Console) -> None:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task(report.format, total=None, rate="")
        before = deque([(time.monotonic(), 0)], maxlen=_LOOKS)
        while not publishing.done():
            before.append((time.monotonic(), report.lines))
            (began, lines), (now, more) = before[0], before[-1]
            progress.update(
                task,
                total=report.bytes_total,
                completed=report.bytes_read,
                rate=f"{(more - lines) / max(now - began, _REFRESH):,.0f} lines/s",
                description=report.waiting or f"{report.published:,} published, {report.rejected:,} rejected",
            )
            await asyncio.wait({publishing}, timeout=_REFRESH)


def summary(report: Report) -> list[str]:
    """The end report, a line of text each."""
    speed = f", {report.published / report.seconds:,.0f}/s" if report.seconds >= 1 else ""
    lines = [f"published {report.published:,} of {report.lines:,} lines in {report.seconds:.1f} s{speed}"]
    if report.stopped:
        lines[0] += ", stopped before the end"
    if report.rejected:
        lines.append(f"rejected {report.rejected:,}, not published:")
        lines += [
            f"  {count:,} times {reason}" for reason, count in sorted(report.reasons.items(), key=lambda item: -item[1])
        ]
        lines += [f"  {each.path}:{each.number}: {each.rejection}" for each in report.first_rejected]
        if report.rejected > len(report.first_rejected):
            lines.append(f"  … and {report.rejected - len(report.first_rejected):,} more")
    lines += [f"could not read {path}: {why}" for path, why in report.unreadable.items()]
    if report.positions:
        lines.append(f"how far it was read: {report.positions}")
    if report.failure:
        lines.append(f"failed: {report.failure}")
    return lines
