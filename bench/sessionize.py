"""Connection records per second through one worker process, output and state included, against a textbook agent.

Run: ``python -m bench.sessionize``. Starts its own embedded servers in a temporary folder, fills ``connections`` with
short sessions, and lets a worker and ``bench/textbook_agent.py`` read them. The time counts from the first batch
planned to the last one acknowledged by Kafka. With ``--generated`` the records are what ``route`` makes of
`sojourn generate`: sessions of all lengths with logins and commands, devices, disorder, losses; without the comparison.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path

import msgspec

from producers.formats import DECODERS, Source
from producers.kafka.publisher import Item, Publisher, partition_of
from producers.load.generate import generate
from producers.load.mix import Tally, checked
from schemas import topics
from schemas.records import Action, Connection, Tick, position_of, session_key
from schemas.settings import Settings
from stream_processors import app as worker
from stream_processors.intake import RecordBatch
from stream_processors.machine.sessionizer import Sessionizer
from stream_processors.route import by_partition, plan
from stream_processors.sessionize import Published, Sessions
from tests.stack import embedded_stack

#: Sessions open at once, per sensor: each lasts so many connects of others.
_OPEN = 100
_encode = msgspec.json.Encoder().encode


def short_sessions(count: int, run: int, partitions: int) -> dict[int, list[Item]]:
    """``count`` connection records as route writes them, half connects, half disconnects, by partition."""
    items: dict[int, list[Item]] = {partition: [] for partition in range(partitions)}
    opened: deque[Connection] = deque()
    start = 1_795_309_467_923_239 + run * 3_600_000_000
    written = number = 0
    while written < count:
        connect = Connection(
            action=Action.CONNECT,
            sensor=f"bench-{number % 8}",
            time=start + number * 500,
            session_id=f"{run:02d}-{number:09x}",
            protocol="ssh",
            client_ip=f"198.51.100.{number % 250}",
            client_port=1024 + number % 60_000,
            server_ip="192.0.2.1",
            server_port=22,
        )
        number += 1
        records = [connect]
        opened.append(connect)
        if len(opened) > _OPEN:
            first = opened.popleft()
            records.append(
                msgspec.structs.replace(first, action=Action.DISCONNECT, time=start + number * 500, positions=[])
            )
        for record in records:
            key = session_key(record)
            partition = partition_of(key, partitions)
            record.source = f"bench/{topics.CONNECTIONS_IN}/{partition}"
            record.positions = [position_of(run * count + written, 0)]
            record.record_id = f"{record.source}/{written}/0"
            items[partition].append((key, _encode(record), ()))
            written += 1
    return items


class Read(msgspec.Struct):
    """A line as it is read from its topic."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def generated(count: int, seed: int, partitions: int) -> dict[int, list[Item]]:
    """What ``route`` makes of about ``count`` lines of `sojourn generate`, by partition of ``connections``."""
    items: dict[int, list[Item]] = {partition: [] for partition in range(partitions)}
    offsets: Counter[tuple[str, int]] = Counter()
    for batch in generate(checked(seed=seed, records=count), Tally()):
        lines: dict[tuple[str, int], list[Read]] = {}
        for one in batch:
            place = one.topic, partition_of(one.key, partitions)
            lines.setdefault(place, []).append(Read(offsets[place], one.sent // 1000, one.key, one.line))
            offsets[place] += 1
        for (topic, partition), read in lines.items():
            decoder = DECODERS[topics.format_of(topic) or ""]
            routed = plan(read, decoder, Source("bench", topic, partition), 1000)
            for number, made in by_partition(routed.connections, partitions).items():
                items[number] += made
    return items


async def publish(settings: Settings, items: dict[int, list[Item]]) -> None:
    async with Publisher(settings.kafka) as publisher:
        futures = []
        for partition, some in items.items():
            futures += await publisher.send_batch(topics.CONNECTIONS, partition, some)
        await asyncio.gather(*futures)


def child(settings: Settings, expected: int) -> None:
    """A worker that says how fast it was, then ends itself."""
    began: list[float] = []
    ended: list[bool] = []
    done = ticks = 0
    plan_batch, finish, tick = Sessions.plan, Sessions.done, Sessionizer.tick

    def counted_tick(self: Sessionizer, what: Tick, broker_time: int) -> None:
        nonlocal ticks
        ticks += 1
        tick(self, what, broker_time)

    def timed_plan(self: Sessions, batch: RecordBatch) -> Published:
        if not began:
            began.extend((time.perf_counter(), time.process_time()))
        return plan_batch(self, batch)

    def timed_done(self: Sessions, batch: RecordBatch, published: Published) -> None:
        nonlocal done
        finish(self, batch, published)
        done += len(batch.records)
        if done - ticks >= expected and not ended:
            ended.append(True)
            print(f"CPU: {(time.process_time() - began[1]) / expected * 1e6:.2f} µs per record")
            print(round(expected / (time.perf_counter() - began[0])), flush=True)
            os.kill(os.getpid(), signal.SIGTERM)

    Sessionizer.tick = counted_tick  # type: ignore[method-assign]
    Sessions.plan = timed_plan  # type: ignore[method-assign]
    Sessions.done = timed_done  # type: ignore[method-assign]
    sys.exit(worker.run_worker(settings))


def measured(arguments: list[str]) -> int:
    """Runs a child and returns the rate it printed last."""
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.strip().isdigit()]
    if not lines:
        raise RuntimeError(f"{arguments[0]} measured nothing:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    print(*(line for line in done.stdout.splitlines() if line.startswith("CPU: ")))
    return int(lines[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=400_000, help="connection records per run")
    parser.add_argument("--textbook-records", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=Settings().worker.batch)
    parser.add_argument("--generated", action="store_true", help="records of `sojourn generate`, no comparison")
    parser.add_argument("--child", help="settings file; used by the bench itself")
    arguments = parser.parse_args()
    if arguments.child:
        child(msgspec.json.decode(Path(arguments.child).read_bytes(), type=Settings), arguments.records)
        return
    settings = Settings()
    settings = msgspec.structs.replace(settings, worker=msgspec.structs.replace(settings.worker, batch=arguments.batch))
    rates, slow = [], []
    for run in range(arguments.runs):
        # Anew each time: no sink runs here, so a second worker would take over all that the first one wrote.
        with (
            tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder,
            embedded_stack(Path(folder), settings) as stack,
        ):
            file = Path(folder) / "settings.json"
            file.write_bytes(_encode(stack.settings))
            make = generated if arguments.generated else short_sessions
            items = make(arguments.records, run, stack.settings.kafka.partitions)
            asyncio.run(publish(stack.settings, items))
            written = sum(map(len, items.values()))
            rates.append(measured(["bench.sessionize", "--child", str(file), "--records", str(written)]))
            print(f"worker, run {run + 1}: {rates[-1]:,} records/s")
            if arguments.generated:
                continue
            slow.append(measured(["bench.textbook_agent", str(file), str(arguments.textbook_records), str(run)]))
    fast = statistics.median(rates)
    print(f"worker:   median {fast:,.0f} records/s")
    if not slow:
        return
    textbook = statistics.median(slow)
    print(f"textbook: median {textbook:,.0f} records/s")
    print(f"ratio:    {fast / textbook:.1f}")


if __name__ == "__main__":
    main()
