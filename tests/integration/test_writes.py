"""What an API writes, through worker and sink to ClickHouse: while the session lives, forgotten, and after a kill."""

import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.kafka.publisher import Publisher
from producers.writes import Target, Write, amend, remove, remove_device, write_of
from schemas.records import Action, Amendment, Connection
from schemas.times import SECOND
from tests.integration.sinks import running_sink, store, until
from tests.stack import Stack
from tests.workers import workers_of

pytestmark = pytest.mark.integration

START = 1_795_309_000 * SECOND
MAC = "AA:BB:CC:00:11:22"


def _now() -> int:
    return time.time_ns() // 1000


def _device(action: Action, second: int, mac: str = MAC) -> Connection:
    return Connection(action=action, sensor="scan", time=START + second * SECOND, mac=mac, kind=str(action))


def _own(action: Action, second: int, **fields: str) -> Connection:
    return Connection(
        action=action, sensor="pot", time=START + second * SECOND, session_id="own", protocol="ssh", **fields
    )


#: POST /sessions/create with an end: one record, partitioned by its device.
CREATED = Connection(
    action=Action.COMPLETE,
    sensor="api",
    mac=MAC,
    time=START,
    started=START - 60 * SECOND,
    ended=START,
    record_id="created-1",
)


# Worker and sink of its own: it kills the worker, and asks for what its memory cannot know.
async def test_writes_reach_sessions_in_memory_in_the_store_and_after_a_kill(own_stack: Stack) -> None:
    settings = own_stack.settings
    async with Publisher(settings.kafka) as publisher, store(settings) as client, running_sink(settings):

        async def publish(*records: Connection | Write) -> None:
            for record in records:
                write = record if isinstance(record, Write) else write_of(record)
                await (await publisher.send(write.topic, write.key, write.value))

        async def current() -> list[tuple[str, str, str, str]]:
            return await _rows(client, "SELECT sensor, session_id, key, state FROM sessions_current ORDER BY sensor")

        def applied(request: str, table: str = "sessions_current") -> Callable[[], Awaitable[bool]]:
            async def done() -> bool:
                query = f"SELECT count() FROM {table} WHERE has(requests, {{id:String}})"  # noqa: S608 - two names
                return int((await client.query(query, parameters={"id": request})).result_rows[0][0]) > 0

            return done

        with workers_of(settings) as workers:
            workers.start()
            await publish(_own(Action.CONNECT, 0, mac=MAC), _device(Action.CONNECT, 0), CREATED)

            async def three() -> bool:
                return len(await current()) == 3

            await until("three sessions", three, 60)
            targets = {sensor: Target(sensor, session, key) for sensor, session, key, _ in await current()}
            for sensor, target in targets.items():
                await publish(amend(target, f"in-memory-{sensor}", _now(), Amendment(reason=sensor, paused=True)))
            for sensor in targets:
                await until(f"amended: {sensor}", applied(f"in-memory-{sensor}"), 60)
            workers.kill_all()
            await publish(_own(Action.DISCONNECT, 30), _device(Action.DISCONNECT, 30))
            workers.start()

            async def ended() -> bool:
                return [state for *_, state in await current()] == ["closed"] * 3

            await until("all have ended", ended, 60)
            # The next worker takes back what ended a moment ago; what it never knew only ClickHouse can tell.
            await client.command(
                "INSERT INTO sessions SELECT * REPLACE ('old' AS session_id, replace(key, 'own', 'old') AS key)"
                " FROM sessions FINAL"
            )
            for sensor, target in targets.items():
                old = msgspec.structs.replace(
                    target, session_id="old", key='["pot","old"]' if sensor == "pot" else target.key
                )
                await publish(amend(old, f"old-{sensor}", _now(), Amendment(terminate_at=START), {"label": "x"}))
                await until(f"amended: old {sensor}", applied(f"old-{sensor}"), 60)
            kept = await _rows(
                client,
                "SELECT sensor, reason, paused, label, count() FROM (SELECT sensor, reason, paused,"
                " attributes['label'] AS label FROM sessions_current) GROUP BY ALL ORDER BY ALL",
            )
            assert kept == [(name, name, True, label, 1) for name in ("api", "pot", "scan") for label in ("", "x")]

            # A second connect under an id that ended before this worker came: no other session, the earliest start.
            await publish(_own(Action.CONNECT, 20, record_id="second"), _own(Action.DISCONNECT, 90))

            async def merged() -> bool:
                query = (
                    "SELECT toUnixTimestamp(started_at), duration, event_count FROM sessions_current"
                    " WHERE session_id = 'own'"
                )
                return await _rows(client, query) == [(START // SECOND, 90.0, 4)]

            await until("a second connect of an ended session is counted to it", merged, 60)
            await publish(remove(targets["pot"], "removed-one", _now()))
            await until("removed", applied("removed-one", "sessions_all"), 60)
            assert ("pot", "own") not in [(sensor, session) for sensor, session, *_ in await current()]
            await publish(_device(Action.CONNECT, 100, "aabb.cc00.1122"), _device(Action.CONNECT, 0, "dd:00"))
            await publish(remove_device("api", "aa-bb-cc-00-11-22", "removed-all", _now()))
            await until("removed", applied("removed-all", "sessions_all"), 60)

            async def only_the_other() -> bool:
                return len(await current()) == 1

            await until("all sessions of the device are gone", only_the_other, 60)
            workers.kill_all()
            await publish(_device(Action.DISCONNECT, 130), CREATED, remove_device("api", MAC, "removed-all", _now()))
            await publish(_device(Action.CONNECT, 200))
            workers.start()

            async def a_new_one() -> bool:
                return len(await current()) == 2

            await until("the device is seen again", a_new_one, 60)
            rows = await _rows(client, "SELECT mac, toUnixTimestamp(started_at) FROM sessions_current ORDER BY ALL")
            assert rows == [("AA:BB:CC:00:11:22", START // SECOND + 200), ("dd:00", START // SECOND)]
            hidden = await _rows(
                client, "SELECT count(), uniq(sensor, session_id) FROM sessions_all WHERE removed AND mac != 'dd:00'"
            )
            assert hidden == [(7, 7)]
            stored = await _rows(client, "SELECT count() FROM events WHERE details LIKE '%\"remove\"%'")
            assert stored == [(3,)], "what was asked for is kept like any record"


async def _rows(client: AsyncClient, query: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in (await client.query(query)).result_rows]
