"""What follows from stored events follows from all of them, also where the server ended between the two."""

import asyncio

import msgspec
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.kafka.publisher import Publisher
from schemas.topics import EVENTS
from tests.integration.sinks import commit_zero, publish_events, running_sink, store, until, until_stored
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DIFFERENT = """
SELECT hour, sensor, kind, _epoch, _topic, _partition, sum(counted), sum(rolled) FROM (
    SELECT toStartOfHour(toDateTime(time, 'UTC')) AS hour, sensor, kind, _epoch, _topic, _partition,
        1 AS counted, 0 AS rolled
    FROM events
    UNION ALL SELECT hour, sensor, kind, _epoch, _topic, _partition, 0, events FROM events_by_hour)
GROUP BY ALL HAVING sum(counted) != sum(rolled)"""
COUNT_SOME = """
INSERT INTO events_by_hour (hour, sensor, kind, _epoch, _topic, _partition, events)
SELECT toStartOfHour(toDateTime(time, 'UTC')) AS hour, sensor, kind, _epoch, _topic, _partition, count()
FROM events WHERE sensor = 's' AND (_partition = 1 OR _partition = 2 AND _offset % 2) GROUP BY ALL"""
#: Far behind what an hour's type can say, and the last moment of an hour.
LATE, EDGE = 5_000_000_000, 1_795_003_199.999999


async def names(client: AsyncClient) -> list[tuple[str, str]]:
    return [tuple(row) for row in (await client.query("SELECT device, name FROM devices ORDER BY ALL")).result_rows]


async def test_what_a_server_has_stored_but_not_derived_is_derived_when_its_partition_is_taken_over(
    own_stack: Stack,
) -> None:
    settings = own_stack.settings
    partitions = settings.kafka.partitions
    told = [("aabbcc0011" + f"{number:02x}", f"device {number}") for number in range(40)]
    async with Publisher(settings.kafka) as publisher, store(settings) as client:
        await publish_events(publisher, "s", range(5_000), partitions)
        devices = [
            {"sensor": "d", "time": EDGE if number % 2 else LATE, "kind": "other", "mac": mac, "category": "device"}
            | {"details": {"name": name}}
            for number, (mac, name) in enumerate(told)
        ]
        await asyncio.gather(
            *[await publisher.send(EVENTS, one["mac"].encode(), msgspec.json.encode(one)) for one in devices]
        )

        async def named() -> bool:
            return await names(client) == told

        async with running_sink(settings):
            await until_stored(client, "s", range(5_000))
            await until("all devices have their names", named)
        assert (await client.query(DIFFERENT)).result_rows == []
        # As a server leaves it that ends between the table and its views, at several blocks and partitions: Kafka was
        # told nothing of them, and one hour was counted in part.
        await commit_zero(settings)
        await client.command("TRUNCATE TABLE device_facts")
        await client.command("TRUNCATE TABLE events_by_hour")
        await client.command(COUNT_SOME)
        assert len((await client.query(DIFFERENT)).result_rows) > partitions
        # Others insert into the same hours all the while.
        async with running_sink(settings) as sink:
            await publish_events(publisher, "s", range(5_000, 6_000), partitions)
            await until_stored(client, "s", range(6_000))
            await until("all devices have their names again", named)
            assert sink.counters.values["rows_already_stored_total"] == 5_000 + len(told)
        assert (await client.query(DIFFERENT)).result_rows == []
        await client.command("OPTIMIZE TABLE events_by_hour FINAL")
        assert (await client.query(DIFFERENT)).result_rows == []
        # Once more nothing is missing, and nothing changes.
        await commit_zero(settings)
        async with running_sink(settings) as sink:
            await publish_events(publisher, "s", range(6_000, 6_100), partitions)
            await until_stored(client, "s", range(6_100))
        assert (await client.query(DIFFERENT)).result_rows == []
