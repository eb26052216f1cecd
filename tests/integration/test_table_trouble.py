"""A full disk, a read-only table, a changed schema: the sink waits and says so; nothing is acknowledged or lost."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.kafka.publisher import Publisher
from query_api.health import Health
from schemas.topics import DEAD_LETTERS, EVENTS
from stream_processors.sink.sink import Sink
from tests.integration.sinks import numbers_of, publish_events, running_sink, store, until, until_stored
from tests.stack import Stack
from tests.workers import messages

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

#: What happens to the table, how it is mended, and what ClickHouse says meanwhile.
TROUBLES = {
    "full disk": (
        "ALTER TABLE events MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000000",
        "ALTER TABLE events RESET SETTING min_free_disk_bytes_to_perform_insert",
        "Code: 243",
    ),
    "a table that is gone": ("DETACH TABLE events", "ATTACH TABLE events", "Code: 60"),
    "a column with another name": (
        "ALTER TABLE events RENAME COLUMN container_id TO container",
        "ALTER TABLE events RENAME COLUMN container TO container_id",
        "Code: 16",
    ),
    "a constraint that nothing fulfils": (
        "ALTER TABLE events ADD CONSTRAINT closed CHECK sensor = ''",
        "ALTER TABLE events DROP CONSTRAINT closed",
        "rows one after the other",
    ),
}
ROWS = 1200


@asynccontextmanager
async def running(stack: Stack) -> AsyncIterator[tuple[Sink, Publisher, AsyncClient, AsyncClient]]:
    strong = msgspec.structs.replace(stack.settings.clickhouse, writer="admin", writer_password=stack.admin_password)
    settings = stack.settings
    async with (
        Publisher(settings.kafka) as publisher,
        store(settings) as client,
        store(msgspec.structs.replace(settings, clickhouse=strong)) as admin,
        running_sink(settings) as sink,
    ):
        yield sink, publisher, client, admin


async def settled(sink: Sink) -> int:
    """The offsets of ``sensor.events`` that Kafka was told are stored, added up."""
    committed = [owned.committed for place, owned in sink._owned.items() if place.topic == EVENTS]
    return sum(committed)


# Servers of its own: it breaks the table of events, again and again.
async def test_whatever_happens_to_the_table_is_waited_out_and_nothing_is_acknowledged_meanwhile(
    own_stack: Stack,
) -> None:
    partitions = own_stack.settings.kafka.partitions
    async with running(own_stack) as (sink, publisher, client, admin):
        await publish_events(publisher, "s", range(100), partitions)
        await until_stored(client, "s", range(100), 60)
        count = 100

        def holds(amount: int) -> Callable[[], Awaitable[bool]]:
            async def enough() -> bool:
                return await settled(sink) == amount

            return enough

        await until("the first are acknowledged", holds(100), 60)
        for name, (break_it, mend_it, words) in TROUBLES.items():
            await admin.command(break_it)
            retried = sink.counters.values.get("inserts_retried_total", 0)
            await publish_events(publisher, "s", range(count, count + ROWS), partitions)

            async def says_so(words: str = words, retried: int = retried) -> bool:
                beat = sink.heartbeat()
                return words in beat.message and beat.counters.get("inserts_retried_total", 0) > retried + 2

            await until(f"{name}: the heartbeat says so", says_so, 150)
            assert await settled(sink) == count, f"{name}: nothing is acknowledged"
            await admin.command(mend_it)
            count += ROWS
            await until_stored(client, "s", range(count), 120)
            await until(f"{name}: all is acknowledged", holds(count), 120)
            assert sink.heartbeat().message == ""
        assert await numbers_of(client, "s") == list(range(count))
        assert not [m for m in await messages(own_stack.settings, DEAD_LETTERS) if m.value is not None]


def test_health_passes_on_what_the_store_said() -> None:
    from tests.unit.query_api.test_health_verdict import NOW, beat

    health = Health()
    health.kafka_answered = NOW
    for at in (-7, -3, -1):
        one = beat("sink", at, 5, 100)
        one.message = "Code: 243. DB::Exception: not enough space"
        health.take(one)
    check = health.verdict(NOW, clickhouse=True).checks["sink"]
    assert not check.ok
    assert check.message.endswith("95 records behind: Code: 243. DB::Exception: not enough space")
