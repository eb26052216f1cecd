"""What a session machine reads back from ClickHouse."""

import msgspec
import pytest

from schemas.records import EndReason, Session, State
from schemas.settings import Settings
from schemas.times import HOUR, SECOND
from stream_processors.sink.places import Place
from stream_processors.sink.writer import Writer
from stream_processors.stored_sessions import sessions_of_keys

pytestmark = pytest.mark.integration

START = 1_795_309_000 * SECOND


def version(sensor: str, name: str, start: int, revision: int, **fields: object) -> Session:
    key = msgspec.json.encode([sensor, "tcp", "198.51.100.1:4000", "192.0.2.1:22"]).decode()
    known: dict[str, object] = {
        "started_at": start,
        "last_activity_at": start,
        "created_at": start,
        "modified_at": START,
    }
    return Session(session_id=name, sensor=sensor, key=key, revision=revision, **{**known, **fields})  # type: ignore[arg-type]


async def test_the_last_sessions_of_a_key_come_in_their_latest_versions_oldest_first(
    settings: Settings, sensor: str
) -> None:
    end = {"state": State.CLOSED, "end_reason": EndReason.DISCONNECT}
    first = version(sensor, "first", START, 2, ended_at=START + HOUR, **end)
    orphan = version(sensor, "orphan", START, 1, started_at=None, ended_at=START + 2 * HOUR, **end)
    second = version(sensor, "second", START + 3 * HOUR, 1)
    stored = [second, orphan, version(sensor, "first", START, 1), first, version(sensor, "waits", START, 1, held=True)]
    writer = Writer(settings.clickhouse)
    await writer.insert(Place("of-a-test", "sessions", 0), 1, stored, sensor, START // 1000)
    await writer.close()
    assert sessions_of_keys(settings, [first.key.encode()]) == [first, orphan, second]
    assert sessions_of_keys(settings, [b'["nobody","knows"]']) == []


async def test_keys_of_any_length_are_asked_for_and_those_that_no_query_takes_are_not_known(
    settings: Settings, sensor: str
) -> None:
    ids = [f"{number:04d}" + "'\\" * 200 for number in range(300)]
    stored = [
        msgspec.structs.replace(version(sensor, name, START, 1), key=msgspec.json.encode([sensor, name]).decode())
        for name in ids
    ]
    writer = Writer(settings.clickhouse)
    await writer.insert(Place("of-long-ids", "sessions", 0), 1, stored, f"{sensor}-long", START // 1000)
    await writer.close()
    longest = msgspec.json.encode([sensor, "\\" * 100_000])
    found = sessions_of_keys(settings, [longest, *(one.key.encode() for one in stored)])
    assert sorted(one.session_id for one in found) == ids
