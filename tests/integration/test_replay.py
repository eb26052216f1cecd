"""``sojourn replay`` beside a running sink."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from deploy.replay import ReplayError, run_redecode, run_replay
from producers.formats import Decoded, Rejection
from producers.formats.cowrie import decode_cowrie
from producers.kafka.publisher import Publisher
from schemas.dead_letters import Reason
from schemas.settings import Settings
from schemas.times import SECOND, rfc3339
from schemas.topics import EVENTS, SESSIONS, native_topic
from stream_processors.sink.redecode import Redecoded
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


def older(value: bytes) -> list[Decoded] | Rejection:
    """A decoder that was wrong: about the hour and the kind of some, it refused others, and saw two in one."""
    found = decode_cowrie(value)
    number = int(msgspec.json.decode(value)["input"])
    if isinstance(found, Rejection) or number % 10 == 1:
        return Rejection(Reason.NOT_AN_OBJECT)
    (one,) = found
    if number % 10 == 2:
        one.event.time += 2 * 3600 * SECOND
    if number % 10 == 3:
        one.event.kind = "odd"
    return [one, *decode_cowrie(value)] if number % 10 == 4 else [one]  # type: ignore[list-item]


def stricter(value: bytes) -> list[Decoded] | Rejection:
    """A decoder that refuses what is in the table."""
    return Rejection(Reason.NOT_AN_OBJECT) if b'"input":"5"' in value else decode_cowrie(value)


def cowrie_line(sensor: str, number: int) -> bytes:
    return msgspec.json.encode(
        {
            "eventid": "cowrie.command.input",
            "session": f"s{number:04d}",
            "sensor": sensor,
            "timestamp": rfc3339((1_795_000_000 + number) * SECOND),
            "input": str(number),
            "message": f"CMD: {number}",
        }
    )


ROWS = """
SELECT _partition, _offset, _index, kind, action, time FROM events WHERE sensor = {sensor:String} ORDER BY ALL"""
BY_HOUR = """
SELECT hour, kind, sum(counted), sum(rolled) FROM (
    SELECT toStartOfHour(toDateTime(time, 'UTC')) AS hour, kind, 1 AS counted, 0 AS rolled FROM events
    UNION ALL SELECT hour, kind, 0, events FROM events_by_hour)
GROUP BY ALL HAVING sum(counted) != sum(rolled)"""


async def test_rows_of_an_older_decoder_are_replaced_beside_a_running_sink(
    own_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = own_stack.settings
    topic, partitions = native_topic("cowrie"), settings.kafka.partitions
    asked = {"sensor": "redecoded"}

    async def redecoded(first: int = 0, last: int | None = None) -> Redecoded:
        return await asyncio.to_thread(run_redecode, settings, topic, first, last, None)

    async with Publisher(settings.kafka) as publisher, store(settings) as client:

        async def rows() -> list[tuple[object, ...]]:
            return [tuple(row) for row in (await client.query(ROWS, parameters=asked)).result_rows]

        async def stored(count: int) -> None:
            async def enough() -> bool:
                return len(await rows()) >= count

            await until(f"{count} rows", enough, 60)
            assert len(await rows()) == count

        with monkeypatch.context() as patched:
            patched.setattr("stream_processors.sink.reading.decoder_of", lambda topic: older)
            async with running_sink(settings):
                futures = [
                    await publisher.send(topic, str(number).encode(), cowrie_line("redecoded", number))
                    for number in range(2000)
                ]
                await asyncio.gather(*futures)
                await stored(2000)
        wrong = await rows()
        async with running_sink(settings) as sink:
            await publish_events(publisher, "s", range(100), partitions)
            await until_stored(client, "s", range(100), 60)
            # New records all the while, in an hour that is counted again.
            task, count = asyncio.create_task(redecoded()), 100
            while not task.done():
                await publish_events(publisher, "s", range(count, count := count + 20), partitions)
                await asyncio.sleep(0.02)
            found = await task
            assert (found.messages, found.rows, found.replaced, found.kept) == (2000, 2000, 2000, 0)
            assert not found.refused
            assert len(found.hours) > 1
            right = await rows()
            assert right != wrong
            assert [kind for _, _, _, kind, *_ in right] == ["command"] * 2000
            assert {index for _, _, index, *_ in right} == {0}
            assert sorted(int(str(action)) for *_, action, _ in right) == list(range(2000))
            late = await client.query(
                "SELECT count() FROM events WHERE sensor = 'redecoded' AND time > '2026-11-18 12:00:00'"
            )
            assert late.result_rows == [(0,)]
            await publish_events(publisher, "s", range(count, count := count + 100), partitions)
            await until_stored(client, "s", range(count), 60)
            # Other partitions were not held up.
            assert "inserts_fenced_total" not in sink.counters.values
        assert (await client.query(BY_HOUR)).result_rows == []
        await client.command("OPTIMIZE TABLE events_by_hour FINAL")
        assert (await client.query(BY_HOUR)).result_rows == []
        assert (await client.query("SELECT count() FROM events_by_hour WHERE kind = 'odd'")).result_rows == [(0,)]
        # Again, with the same decoder: the same rows. And what a version refuses stays as it is.
        again = await redecoded()
        assert (again.rows, again.replaced, again.kept) == (2000, 2000, 0)
        assert await rows() == right
        monkeypatch.setattr("stream_processors.sink.reading.decoder_of", lambda topic: stricter)
        refused = await redecoded()
        assert (refused.rows, refused.replaced, refused.kept) == (1999, 1999, 1)
        assert await rows() == right
        assert (await client.query(BY_HOUR)).result_rows == []


def test_only_topics_of_sensors_are_replayed(settings: Settings) -> None:
    with pytest.raises(ReplayError, match="a topic that sensors write"):
        run_replay(settings, SESSIONS, 0, None, None)
    with pytest.raises(ReplayError, match="a topic that sensors write"):
        run_redecode(settings, SESSIONS, 0, None, None)
    with pytest.raises(ReplayError, match="has the partitions 0 to"):
        run_aside(asyncio.to_thread(run_replay, settings, EVENTS, 0, None, 1024))
