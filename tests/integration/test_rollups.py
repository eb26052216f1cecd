"""The roll-ups per hour say what a recount says."""

import asyncio
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.kafka.publisher import Publisher
from schemas.records import DurationQuality, EndReason, Session, State
from schemas.settings import Settings
from schemas.times import SECOND
from schemas.topics import SESSIONS
from tests.integration.sinks import running_sink, store, until

pytestmark = pytest.mark.integration

HOUR = 3600 * SECOND
START = 1_795_309_200 * SECOND
ROLLED = """
SELECT hour, protocol, opened, closed, seconds FROM sessions_by_hour FINAL
WHERE sensor = {s:String} AND (opened OR closed) ORDER BY ALL"""
COUNTED = """
SELECT hour, protocol, sum(opened), sum(closed), sum(seconds) FROM
(
    SELECT toStartOfHour(started_at) AS hour, protocol, 1 AS opened, 0 AS closed, 0 AS seconds
    FROM sessions_current WHERE sensor = {s:String} AND started_at IS NOT NULL
    UNION ALL
    SELECT toStartOfHour(ended_at), protocol, 0, 1, ifNull(duration, 0)
    FROM sessions_current WHERE sensor = {s:String} AND ended_at IS NOT NULL
)
GROUP BY hour, protocol ORDER BY ALL"""


def session(sensor: str, name: str, started: float, **fields: Any) -> Session:
    started_at = START + round(started * HOUR)
    given = {"revision": 1, "protocol": "ssh", "modified_at": started_at, **fields}
    return Session(
        sensor=sensor, session_id=name, key=name, started_at=started_at, last_activity_at=started_at, **given
    )


def closed(opened: Session, after: float, **fields: Any) -> Session:
    assert opened.started_at is not None
    ended = {
        "state": State.CLOSED,
        "end_reason": EndReason.DISCONNECT,
        "ended_at": opened.started_at + round(after * HOUR),
        "duration": after * 3600,
        "duration_quality": DurationQuality.EXACT,
        "revision": opened.revision + 1,
    }
    return msgspec.structs.replace(opened, **{**ended, **fields})


async def stored(client: AsyncClient, settings: Settings, *sessions: Session) -> None:
    async with Publisher(settings.kafka) as publisher:
        futures = [await publisher.send(SESSIONS, s.session_id.encode(), msgspec.json.encode(s)) for s in sessions]
        await asyncio.gather(*futures)
    # Of the versions in one block only the newest is stored.
    wanted = set({one.session_id: (one.session_id, one.revision) for one in sessions}.values())

    async def there() -> bool:
        rows = await client.query(
            "SELECT session_id, revision FROM sessions WHERE sensor = {s:String}", parameters={"s": sessions[0].sensor}
        )
        return wanted <= set(map(tuple, rows.result_rows))

    await until("the versions are stored", there, 60)


async def test_sessions_per_hour_follow_every_change_of_a_session(settings: Settings, sensor: str) -> None:
    async with store(settings) as client, running_sink(settings):

        async def rows(sql: str) -> list[tuple[Any, ...]]:
            return list(map(tuple, (await client.query(sql, parameters={"s": sensor})).result_rows))

        async def rolled_up(expected: int) -> None:
            """Hurried: by its own clock it takes half a minute, as the queries of docs/sql.md do."""

            async def same() -> bool:
                await client.command("SYSTEM REFRESH VIEW sessions_by_hour_fill")
                await client.command("SYSTEM WAIT VIEW sessions_by_hour_fill")
                found = await rows(ROLLED)
                return len(found) == expected and found == await rows(COUNTED)

            await until(f"{expected} rows of sessions_by_hour are those of a recount", same, 120)

        first, second, third = (session(sensor, name, at) for name, at in (("a", 0.2), ("b", 0.7), ("c", 30.5)))
        tcp = session(sensor, "d", 0.1, protocol="tcp")
        await stored(client, settings, first, second, third, tcp, closed(tcp, 0.5))
        await rolled_up(3)
        # One ends in the next hour, one is voided, one ends where it began; and an orphan has only an end.
        orphan = closed(session(sensor, "e", 2.5), 0.0, started_at=None, duration=None, end_reason=EndReason.ORPHAN)
        removed = msgspec.structs.replace(third, removed=True, revision=9)
        await stored(client, settings, closed(first, 1.0), closed(second, 0.1), removed, orphan)
        await rolled_up(4)
        hours = [(row[0].hour, *row[1:]) for row in await rows(ROLLED)]
        begin = hours[0][0]
        assert hours == [
            (begin, "ssh", 2, 1, pytest.approx(360.0)),
            (begin, "tcp", 1, 1, pytest.approx(1800.0)),
            (begin + 1, "ssh", 0, 1, pytest.approx(3600.0)),
            (begin + 2, "ssh", 0, 1, 0.0),
        ]
