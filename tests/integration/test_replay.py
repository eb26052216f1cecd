"""``sojourn replay`` beside a running sink."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from deploy.replay import ReplayError, run_replay
from producers.kafka.publisher import Publisher
from schemas.settings import Settings
from schemas.topics import EVENTS, SESSIONS
from stream_processors.sink.refill import Refilled
from tests.integration.sinks import numbers_of, publish_events, running_sink, store, until, until_stored
from tests.stack import Stack, run_aside

pytestmark = pytest.mark.integration


async def replayed(settings: Settings, first: int = 0, last: int | None = None) -> tuple[int, int]:
    """Rows in the range, and those that were missing."""
    found: dict[int, Refilled] = await asyncio.to_thread(run_replay, settings, EVENTS, first, last, None)
    assert not any(one.refused for one in found.values())
    return sum(one.rows for one in found.values()), sum(one.missing for one in found.values())


# Servers of its own: it looks at whole topics and takes rows out of the table.
async def test_a_replay_stores_what_is_missing_and_nothing_else_beside_a_running_sink(own_stack: Stack) -> None:
    settings = own_stack.settings
    numbers: Sequence[int] = range(4000)
    async with Publisher(settings.kafka) as publisher, store(settings) as client:

        async def owners() -> int:
            return int((await client.query("SELECT count() FROM sink_owners")).result_rows[0][0])

        async with running_sink(settings) as sink:
            await publish_events(publisher, "s", numbers, settings.kafka.partitions)
            await until_stored(client, "s", numbers, 60)

            async def settled() -> bool:
                return (await replayed(settings))[0] == len(numbers)

            await until("everything is committed", settled, 60)
            before = await owners()
            assert await replayed(settings) == (4000, 0)
            assert await owners() == before, "nothing was missing: nobody was fenced"

            admin = msgspec.structs.replace(
                settings.clickhouse, writer="admin", writer_password=own_stack.admin_password
            )
            async with store(msgspec.structs.replace(settings, clickhouse=admin)) as strong:
                await strong.command(
                    "DELETE FROM events WHERE toInt64(data) % 3 = 0 OR toInt64(data) < 100",
                    settings={"lightweight_deletes_sync": 2},
                )
            left = await numbers_of(client, "s")
            assert 0 < len(left) < 3000
            # All of a partition's first rows, so that whole blocks are missing, and the sink goes on meanwhile.
            load = asyncio.create_task(publish_events(publisher, "s", range(4000, 5000), settings.kafka.partitions))
            rows, missing = await replayed(settings, 0, 999)
            await load
            assert (rows, missing) == (4000, 4000 - len(left))
            await until_stored(client, "s", range(5000), 60)
            await publish_events(publisher, "s", range(5000, 5100), settings.kafka.partitions)
            await until_stored(client, "s", range(5100), 60)
            assert await replayed(settings, 0, 999) == (4000, 0)
            assert sink.counters.values["inserts_fenced_total"] > 0


async def test_what_clickhouse_refused_is_named_and_stored_once_the_cause_is_gone(own_stack: Stack) -> None:
    settings = own_stack.settings
    async with Publisher(settings.kafka) as publisher, store(settings) as client:
        await client.command("ALTER TABLE events ADD CONSTRAINT taste CHECK data NOT IN ('17', '300', '301')")
        await publish_events(publisher, "s", range(400), settings.kafka.partitions)
        async with running_sink(settings) as sink:

            async def refused() -> bool:
                return sink.counters.values.get("rows_refused_total") == 3

            await until("three rows refused", refused, 60)
            await until_stored(client, "s", [number for number in range(400) if number not in (17, 300, 301)], 60)
        # The sink has left: all of it is committed.
        found = await asyncio.to_thread(run_replay, settings, EVENTS, 0, None, None)
        assert sum(one.missing for one in found.values()) == 3
        assert {place for one in found.values() for place in one.refused} == {
            f"{EVENTS}/{number % 4}/{number // 4}" for number in (17, 300, 301)
        }
        await client.command("ALTER TABLE events DROP CONSTRAINT taste")
        assert await replayed(settings) == (400, 3)
        assert await numbers_of(client, "s") == list(range(400))


def test_only_topics_of_sensors_are_replayed(settings: Settings) -> None:
    with pytest.raises(ReplayError, match="a topic that sensors write"):
        run_replay(settings, SESSIONS, 0, None, None)
    with pytest.raises(ReplayError, match="has the partitions 0 to"):
        run_aside(asyncio.to_thread(run_replay, settings, EVENTS, 0, None, 1024))
