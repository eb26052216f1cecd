"""Sinks for tests: in this process or in one of their own, and what they stored."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka import TopicPartition
from clickhouse_connect.driver import create_async_client
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.kafka.consumer import LogConsumer
from producers.kafka.publisher import Publisher
from schemas.records import Event
from schemas.settings import Settings
from schemas.topics import EVENTS
from stream_processors import groups
from stream_processors.sink.sink import Sink

_encode = msgspec.json.Encoder().encode


def event_message(sensor: str, number: int) -> bytes:
    """A small event; ``number`` comes back as its data."""
    return _encode({"sensor": sensor, "time": 1_795_000_000 + number, "kind": "command", "data": str(number)})


async def publish_events(publisher: Publisher, sensor: str, numbers: Sequence[int], partitions: int) -> None:
    """Spread over the partitions of sensor.events; returns when all are acknowledged."""
    futures = []
    for partition in range(partitions):
        items = [(None, event_message(sensor, number), ()) for number in numbers if number % partitions == partition]
        if items:
            futures += await publisher.send_batch(EVENTS, partition, items)
    await asyncio.gather(*futures)


@asynccontextmanager
async def store(settings: Settings) -> AsyncIterator[AsyncClient]:
    """ClickHouse as the sink's user."""
    options: dict[str, Any] = {"dsn": settings.clickhouse.url, "username": settings.clickhouse.writer}
    client = await create_async_client(
        **options,
        password=settings.clickhouse.writer_password,
        database=settings.clickhouse.database,
        autogenerate_session_id=False,
    )
    try:
        yield client
    finally:
        await client.close()


async def numbers_of(client: AsyncClient, sensor: str) -> list[int]:
    """The numbers of the stored events of a sensor, without FINAL: one stored twice is there twice."""
    result = await client.query(
        "SELECT toInt64(data) FROM events WHERE sensor = {sensor:String} ORDER BY 1", parameters={"sensor": sensor}
    )
    return [row[0] for row in result.result_rows]


async def until(what: str, holds: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.05)


async def until_stored(client: AsyncClient, sensor: str, numbers: Sequence[int], seconds: float = 30.0) -> None:
    """Wait until so many rows are there, then look closely."""

    async def enough() -> bool:
        return len(await numbers_of(client, sensor)) >= len(numbers)

    await until(f"{len(numbers)} events of {sensor}", enough, seconds)
    assert await numbers_of(client, sensor) == sorted(numbers)


class Inside:
    """A sink in this process."""

    def __init__(self, settings: Settings, instance: str) -> None:
        self.sink = Sink(settings, instance)
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.sink.publisher.start()
        self.task = asyncio.create_task(self.sink.run(self.stop))

    async def end(self) -> None:
        self.stop.set()
        assert self.task is not None
        await asyncio.wait_for(self.task, 15)
        await self.sink.publisher.stop()


async def commit_zero(settings: Settings) -> None:
    """Reset the sink's offsets, as an operator does for a replay; no member may be in the group."""

    async def nobody(_: frozenset[TopicPartition]) -> None:
        return None

    member = LogConsumer(settings.kafka, client="operator")
    await member.join(groups.SINK, [EVENTS], nobody)
    await member.poll(0.1)
    await member.commit(dict.fromkeys(member.assignment, 0))
    await member.stop()


@asynccontextmanager
async def running_sink(settings: Settings, instance: str = "test") -> AsyncIterator[Sink]:
    inside = Inside(settings, instance)
    await inside.start()
    try:
        yield inside.sink
    finally:
        await inside.end()


class SinkProcess:
    """``run_sink`` in a process of its own, ended with it."""

    def __init__(self, settings: Settings) -> None:
        environment = {
            **os.environ,
            "SOJOURN_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
            "SOJOURN_CLICKHOUSE_URL": settings.clickhouse.url,
            "SOJOURN_CLICKHOUSE_WRITER_PASSWORD": settings.clickhouse.writer_password,
            "SOJOURN_SINK_FLUSH_ROWS": str(settings.sink.flush_rows),
        }
        code = (
            "import sys; from schemas.settings import load; from stream_processors.sink import run_sink;"
            "sys.exit(run_sink(load()[0]))"
        )
        self.process = subprocess.Popen([sys.executable, "-c", code], env=environment)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


def sample_event(**fields: Any) -> Event:
    return Event(**{"sensor": "s", "time": 1, **fields})
