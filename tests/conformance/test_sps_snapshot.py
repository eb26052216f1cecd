"""Snapshots of SPS: a list that stays as it is, past ten thousand (sps-facts 1.5; hard-questions: SPS snapshot)."""

import asyncio
from typing import Any

import clickhouse_connect
import pytest

from query_api.dialects.sps import snapshot_store, snapshots
from schemas.settings import Settings
from tests.conformance.conftest import Api
from tests.conformance.sps import BEGIN, SESSIONS, api, keys, many, query, session
from tests.conformance.store import Store, micros

__all__ = ["api"]

pytestmark = pytest.mark.integration

SNAPSHOT = f"{SESSIONS}/_snapshot"


def age(settings: Settings, seconds: int) -> None:
    """Every snapshot was last used so much earlier."""
    store = settings.clickhouse
    with clickhouse_connect.get_client(
        dsn=store.url, username=store.writer, password=store.writer_password, database=store.database
    ) as client:
        # The column that decides which row wins cannot be updated.
        rows = client.query(
            "SELECT * REPLACE (touched - toIntervalSecond({s:Int64}) AS touched) FROM sps_snapshots FINAL",
            parameters={"s": seconds},
        )
        client.command("TRUNCATE TABLE sps_snapshots")
        if rows.result_rows:
            client.insert("sps_snapshots", rows.result_rows, column_names=rows.column_names)


@pytest.fixture(autouse=True)
def none_left(settings: Settings) -> None:
    """Tests share one user: whatever others made has ended."""
    age(settings, 86_000)


async def made(api: Api) -> str:
    answer = await api.get(SNAPSHOT)
    assert list(answer) == ["body", "key", "meta"] and list(answer["body"]) == ["snapshot"]
    assert answer["meta"]["href"] == SNAPSHOT
    return str(answer["body"]["snapshot"])


async def test_thirty_thousand_sessions_are_paged_during_ingest_each_once(api: Api, store: Store, sensor: str) -> None:
    ids = many(store, sensor, 30_000)
    snapshot = await made(api)
    asked = {"q": f"recording.connection_policy:{sensor}", "fields": "user.name", "sort": "-start_time"}
    here: str | None = SESSIONS + query(**asked, snapshot=snapshot)
    seen: list[str] = []
    users: set[Any] = set()
    while here:
        answer = await api.get(here)
        seen += keys(answer)
        users |= {item["body"]["user"]["name"] for item in answer["items"]}
        if len(seen) % 5000 == 0:
            # New sessions on both ends, ends of those that are listed, and one removed.
            n = len(seen)
            later = {"revision": n, "version": n, "user": "later", "started_at": micros(BEGIN)}
            store.sessions(
                [
                    session(sensor, f"{sensor}.new{n}", started_at=micros(BEGIN - n * 1_000_000)),
                    session(sensor, f"{sensor}.newer{n}", started_at=micros(BEGIN + 10**12 + n)),
                    *(session(sensor, key, **later) for key in ids[n : n + 2]),
                    session(sensor, ids[n - 10], removed=True, revision=9),
                ]
            )
        meta = answer["meta"]
        assert meta.keys() == {
            *("fields", "first", "href", "last", "limit", "next", "parent", "previous"),
            *("remaining_seconds", "search_after"),
        }
        assert (meta["first"], meta["last"], meta["previous"]) == (None, None, None)
        here = meta["next"]
    assert seen == ids
    # Who is in it is frozen, what is told of them is not.
    assert users == {None, "later"}


async def test_what_chose_the_sessions_cannot_be_changed_later(api: Api, store: Store, sensor: str) -> None:
    ids = many(store, sensor, 3)
    snapshot = await made(api)
    mine = f"recording.connection_policy:{sensor}"
    first = await api.get(SESSIONS + query(q=mine, snapshot=snapshot, limit=2))
    assert (keys(first), first["meta"]["search_after"]) == (ids[:2], None)
    # Saying nothing, or the same again, goes on.
    assert keys(await api.get(SESSIONS + query(snapshot=snapshot, search_after=2))) == ids[2:]
    assert keys(await api.get(first["meta"]["next"])) == ids[2:]
    assert (await api.get(SESSIONS + query(snapshot=snapshot, search_after=3)))["items"] == []
    for name, value in (("q", "x"), ("sort", "start_time"), ("start", "2017-01-01"), ("content", "x")):
        answer = await api.get(SESSIONS + query(snapshot=snapshot, **{name: value}), status=400)
        assert answer["error"]["details"] == {"field": name}


async def test_two_first_lists_at_once_choose_once(api: Api, store: Store, sensor: str) -> None:
    ids = many(store, sensor, 20)
    here = SESSIONS + query(q=f"recording.connection_policy:{sensor}", snapshot=await made(api))
    answers = await asyncio.gather(*(api.get(here) for _ in range(4)))
    assert [keys(answer) for answer in answers] == [ids] * 4
    assert keys(await api.get(here)) == ids


async def test_it_ends_five_minutes_after_its_last_use_and_its_sessions_go(
    api: Api, store: Store, sensor: str, settings: Settings
) -> None:
    many(store, sensor, 3)
    here = SESSIONS + query(q=f"recording.connection_policy:{sensor}", snapshot=await made(api))
    await api.get(here)
    age(settings, 200)
    await api.get(here)
    # The last list renewed it.
    age(settings, 200)
    assert len((await api.get(here))["items"]) == 3
    age(settings, 301)
    lost = await api.get(here, status=404)
    assert lost["error"]["type"] == "ResourceNotFound" and "snapshot" in lost["error"]["message"]
    age(settings, 200)
    await made(api)
    snapshot = here.rpartition("=")[2]
    assert store.number("SELECT count() FROM sps_snapshot_keys WHERE snapshot = {s:String}", s=snapshot) == 0


async def test_a_user_has_ten_at_once_and_they_are_for_one_client(api: Api, store: Store, sensor: str) -> None:
    many(store, sensor, 1)
    found = [await made(api) for _ in range(10)]
    assert len(set(found)) == 10
    async with api.http.get(api.base + SNAPSHOT) as answer:
        assert answer.status == 429 and int(answer.headers["Retry-After"]) > 0
        assert (await answer.json())["error"]["type"] == "QuotaExceeded"
    here = SESSIONS + query(snapshot=found[0], limit=1)
    await api.get(here)
    await api.get(here, headers={"User-Agent": "another client"}, status=404)
    await api.get(SESSIONS + query(snapshot="nosuch"), status=404)


async def test_too_many_sessions_are_refused_and_fewer_may_be_chosen_then(
    api: Api, store: Store, sensor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = many(store, sensor, 6)
    for module in (snapshot_store, snapshots):
        monkeypatch.setattr(module, "LARGEST", 5)
    snapshot, mine = await made(api), f"recording.connection_policy:{sensor}"
    answer = await api.get(SESSIONS + query(q=mine, snapshot=snapshot), status=400)
    assert "more than 5 sessions" in answer["error"]["message"]
    fewer = SESSIONS + query(q=mine, snapshot=snapshot, start="2023-11-14T22:13:21")
    assert keys(await api.get(fewer)) == ids[:5]


async def test_a_page_may_have_ids_of_any_length(api: Api, store: Store, sensor: str) -> None:
    long = [f"{n:03}-{'é' * 200}" for n in range(400)]
    # One that alone is more than a parameter of ClickHouse takes, and one that is so by its escapes.
    long += [f"{sensor}-{'x' * 200_000}", f"{sensor}-" + "\\'\n" * 25_000]
    store.sessions(
        [session(sensor, key, started_at=micros(BEGIN + n * 1_000_000)) for n, key in enumerate(long)],
    )
    snapshot = await made(api)
    mine = f"recording.connection_policy:{sensor}"
    for more in ({}, {"snapshot": snapshot}, {"snapshot": snapshot, "fields": ""}):
        answer = await api.get(SESSIONS + query(q=mine, limit=500, **more))
        assert keys(answer) == long[::-1]
    newest = await api.get(SESSIONS + query(q=mine, limit=1))
    assert keys(newest) == long[-1:]
