"""A full disk, a read-only table, a changed schema: the sink waits and says so; nothing is acknowledged or lost."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import msgspec
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from deploy.embedded.clickhouse import clickhouse_answers
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


async def holds(sink: Sink, amount: int) -> bool:
    return await settled(sink) == amount


class Trouble(NamedTuple):
    """What happens, how it is mended, and what ClickHouse says meanwhile."""

    name: str
    break_it: Callable[[], Awaitable[object]]
    mend_it: Callable[[], Awaitable[object]]
    words: str


async def waited_out(
    trouble: Trouble, sink: Sink, publisher: Publisher, client: AsyncClient, numbers: Sequence[int]
) -> None:
    """These events come while there is trouble: none is acknowledged before it is over, and then all are."""
    name, partitions = trouble.name, sink._settings.kafka.partitions
    await trouble.break_it()
    retried = sink.counters.values.get("inserts_retried_total", 0)
    await publish_events(publisher, "s", numbers, partitions)

    async def says_so() -> bool:
        beat = sink.heartbeat()
        return trouble.words in beat.message and beat.counters.get("inserts_retried_total", 0) > retried + 2

    await until(f"{name}: the heartbeat says so", says_so, 150)
    assert await settled(sink) == numbers[0], f"{name}: nothing is acknowledged"
    await trouble.mend_it()
    end = numbers[-1] + 1
    await until_stored(client, "s", range(end), 120)
    await until(f"{name}: all is acknowledged", lambda: holds(sink, end), 120)
    assert sink.heartbeat().message == ""


# Servers of its own: it breaks the table of events, again and again.
async def test_whatever_happens_to_the_table_is_waited_out_and_nothing_is_acknowledged_meanwhile(
    own_stack: Stack,
) -> None:
    partitions = own_stack.settings.kafka.partitions
    async with running(own_stack) as (sink, publisher, client, admin):
        await publish_events(publisher, "s", range(100), partitions)
        await until_stored(client, "s", range(100), 60)
        count = 100

        await until("the first are acknowledged", lambda: holds(sink, count), 60)
        for name, (break_it, mend_it, words) in TROUBLES.items():
            trouble = Trouble(name, partial(admin.command, break_it), partial(admin.command, mend_it), words)
            await waited_out(trouble, sink, publisher, client, range(count, count := count + ROWS))
        assert await numbers_of(client, "s") == list(range(count))
        assert not [m for m in await messages(own_stack.settings, DEAD_LETTERS) if m.value is not None]


# The embedded server's users stand in a file that it reads when it starts.
async def test_a_writer_that_lost_its_right_to_insert_is_waited_for(own_stack: Stack) -> None:
    store_ = own_stack.store
    if store_ is None:
        pytest.skip(f"the users of --stack={own_stack.kind} are not ours to change")
    assert own_stack.folder is not None
    (users,) = own_stack.folder.rglob("users.xml")
    whole = users.read_text()
    database = own_stack.settings.clickhouse.database
    every, left = f"GRANT ALL ON {database}.*", f"GRANT SELECT ON {database}.*</query><query>GRANT INSERT ON {database}"
    assert every in whole

    async def restarted(text: str) -> None:
        store_.child.kill()
        store_.child.wait(20)
        users.write_text(text)
        store_.child.start()

        async def answers() -> bool:
            return clickhouse_answers(store_)

        await until("ClickHouse is back", answers, 60)

    async with running(own_stack) as (sink, publisher, client, _):
        await publish_events(publisher, "s", range(100), own_stack.settings.kafka.partitions)
        await until_stored(client, "s", range(100), 60)
        await until("the first are acknowledged", lambda: holds(sink, 100), 60)
        revoked = Trouble(
            "REVOKE INSERT ON events",
            lambda: restarted(whole.replace(every, f"{left}.sink_owners", 1)),
            lambda: restarted(whole),
            "Code: 497",
        )
        await waited_out(revoked, sink, publisher, client, range(100, 100 + ROWS))
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
