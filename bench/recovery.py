"""A worker takes over one million open sessions: how long until the first record flows, how much memory, and whether a
batch is slower with them.

Run: ``python -m bench.recovery``. Starts its own embedded servers in a temporary folder; the sessions are put into
ClickHouse by one INSERT. The measured part is what a worker does when partitions are assigned (``restore``).
"""

import argparse
import asyncio
import gc
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import clickhouse_connect
import msgspec

from bench.sessionize import short_sessions
from producers.kafka.publisher import Publisher
from schemas.metrics import Counters
from schemas.records import Connection, Tick
from schemas.settings import Settings
from stream_processors.app import prepare_memory
from stream_processors.intake import Intake
from stream_processors.machine.sessionizer import Sessionizer
from stream_processors.restore import Restorer
from stream_processors.sessionize import Sessions
from tests.stack import embedded_stack

_START = 1_795_309_467_923_239
_decode = msgspec.json.Decoder(Connection).decode

#: Sessions as the sink stores them: opened over an hour, by eight sensors, from one source partition each.
_FILL = """
INSERT INTO {database:Identifier}.sessions (session_id, sensor, key, state, started_at, last_activity_at, protocol,
    client_ip, client_port, server_ip, server_port, event_count, revision, version, created_at, modified_at, opened_by,
    positions, duration_quality, ingested_at)
WITH concat('0e1d3b52-6d6c-4c0f-8a43-a7cbcb53a1e5/sensor.connections/', toString(number % 4)) AS source
SELECT lower(hex(number + 0x1000000000)) AS session_id, concat('bench-', toString(number % 8)) AS sensor,
    concat('["', sensor, '","', session_id, '"]'), 'open',
    fromUnixTimestamp64Micro(toInt64({start:Int64} - 3600000000 + number * 3600), 'UTC') AS started, started, 'ssh',
    concat('198.51.', toString(number % 200), '.', toString(number % 250)), 1024 + number % 60000, '192.0.2.1', 22, 3,
    bitOr(bitShiftLeft(toUInt64(1), 56), toUInt64(toUnixTimestamp64Micro(started))), 3, started, started,
    concat(source, '/', toString(number), '/0'), map(source, number * 65536), 'unknown', now64(3)
FROM numbers({count:UInt64})
"""


def rss_mib() -> float:
    """Resident memory of this process now, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def recover(settings: Settings) -> Sessions:
    counters = Counters()
    intake = Intake(settings, counters)
    async with Publisher(settings.kafka) as publisher:
        sessions = Sessions(intake, publisher, counters)
        await Restorer(settings, intake, sessions).prepare(set(range(settings.kafka.partitions)), 1, lambda: True)
    return sessions


def batch_seconds(machine: Sessionizer, run: int) -> float:
    """4,000 records of new sessions, a tick, their versions: the median of 20 times."""
    took = []
    for number in range(20):
        items = short_sessions(4000, run * 50 + number, 1)[0]
        records = [(key, _decode(value)) for key, value, _ in items if key is not None and value is not None]
        began = time.perf_counter()
        for key, record in records:
            machine.apply(key, record, _START)
        machine.tick(Tick(source="bench/t/0", caught_up=True, sensors={"bench-0": _START + number}), _START)
        machine.take_versions()
        took.append(time.perf_counter() - began)
    return sorted(took)[len(took) // 2]


def child(settings: Settings, count: int) -> None:
    prepare_memory()
    before = rss_mib()
    began = time.perf_counter()
    sessions = asyncio.run(recover(settings))
    took = time.perf_counter() - began
    found = sum(owned.machine.open_sessions for owned in sessions.owned.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{found:,} of {count:,} open sessions in {took:.1f} s (processor {time.process_time():.1f} s)")
    print(f"memory: {rss_mib():,.0f} MiB, at most {peak:,.0f} MiB; {before:,.0f} MiB before")
    full = next(iter(sessions.owned.values())).machine
    empty = Sessionizer(full.limits, True)
    gc.collect()
    loaded, bare = batch_seconds(full, 1), batch_seconds(empty, 1)
    print(f"a batch of 4,000 records: {loaded * 1000:.1f} ms beside them, {bare * 1000:.1f} ms in an empty machine")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", help="settings file; used by the bench itself")
    arguments = parser.parse_args()
    if arguments.child:
        child(msgspec.json.decode(Path(arguments.child).read_bytes(), type=Settings), arguments.sessions)
        return
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder, embedded_stack(Path(folder)) as stack:
        store = stack.settings.clickhouse
        with clickhouse_connect.get_client(
            dsn=store.url, username=store.writer, password=store.writer_password
        ) as client:
            client.command(_FILL, parameters={"database": store.database, "start": _START, "count": arguments.sessions})
        file = Path(folder) / "settings.json"
        file.write_bytes(msgspec.json.encode(stack.settings))
        for _ in range(arguments.runs):
            subprocess.run(
                [sys.executable, "-m", "bench.recovery", "--child", str(file), "--sessions", str(arguments.sessions)],
                check=True,
            )


if __name__ == "__main__":
    main()
