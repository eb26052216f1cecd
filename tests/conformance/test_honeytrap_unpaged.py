"""Answers without paging: everything, newest first, whole or visibly broken (hard-questions: unpaged answers)."""

import asyncio
import contextlib
import re

import aiohttp
import msgspec
import pytest

from query_api import answers
from query_api.keys import GATE
from schemas.settings import Settings
from tests.conformance.broken_line import BrokenLine
from tests.conformance.conftest import Apis
from tests.conformance.store import Store, micros

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("step", [1, 250_000, 1_000_000, 60_000_000, 86_400_000_000])
async def test_five_thousand_rows_are_streamed_in_order_over_many_windows(
    apis: Apis, settings: Settings, store: Store, sensor: str, step: int
) -> None:
    store.many_events(sensor, 5000, step)
    api = await apis.start(settings, unpaged_window=300)
    async with api.http.get(f"{api.base}/events?sensors={sensor}") as answer:
        assert answer.headers.get("Transfer-Encoding") == "chunked"
        found = msgspec.json.decode(await answer.read())
    assert found["matched"] == 5000
    assert [int(event["session_id"]) for event in found["events"]] == list(range(4999, -1, -1))


async def test_sessions_are_streamed_over_many_windows_too(
    apis: Apis, settings: Settings, store: Store, sensor: str
) -> None:
    rows = [{"sensor": sensor, "session_id": str(n), "last_activity_at": micros(n * 7_000_000)} for n in range(3000)]
    store.sessions(rows)
    api = await apis.start(settings, unpaged_window=100)
    answer = await api.get(f"/sessions?sensors={sensor}")
    assert [int(session["session_id"]) for session in answer["events"]] == list(range(2999, -1, -1))


async def test_where_the_answer_is_cut_next_page_says_how_to_go_on(
    apis: Apis, settings: Settings, store: Store, sensor: str
) -> None:
    store.many_events(sensor, 1000)
    api = await apis.start(settings, unpaged_rows=600, unpaged_window=70)
    answer = await api.get(f"/events?sensors={sensor}")
    assert (answer["matched"], len(answer["events"])) == (1000, 600)
    rest = await api.get("/events", {**answer["next_page"], "sensors": [sensor]})
    ids = [int(event["session_id"]) for event in answer["events"] + rest["events"]]
    assert ids == list(range(999, -1, -1))


async def test_an_answer_that_is_not_cut_has_no_next_page(
    apis: Apis, settings: Settings, store: Store, sensor: str
) -> None:
    store.many_events(sensor, 600)
    api = await apis.start(settings, unpaged_rows=600)
    answer = await api.get(f"/events?sensors={sensor}")
    assert len(answer["events"]) == 600
    assert "next_page" not in answer


async def test_when_a_window_fails_the_connection_breaks_and_nobody_takes_half_for_whole(
    apis: Apis, settings: Settings, store: Store, sensor: str
) -> None:
    store.many_events(sensor, 60_000, 100_000)
    line = BrokenLine(settings.clickhouse.url)
    clickhouse = msgspec.structs.replace(settings.clickhouse, url=await line.start())
    api = await apis.start(msgspec.structs.replace(settings, clickhouse=clickhouse), unpaged_window=1000)
    try:
        async with api.http.get(f"{api.base}/events?sensors={sensor}") as answer:
            assert answer.status == 200
            got = await answer.content.readany()
            line.cut()
            with pytest.raises(aiohttp.ClientPayloadError):
                while chunk := await answer.content.readany():
                    got += chunk
        assert got.startswith(b'{"total":')
        assert not got.endswith(b"]}\n")
    finally:
        await line.stop()


async def test_a_client_that_goes_away_frees_its_place(
    apis: Apis, settings: Settings, store: Store, sensor: str
) -> None:
    store.many_events(sensor, 40_000, 100_000)
    api = await apis.start(settings, unpaged_window=1000)
    answer = await api.http.get(f"{api.base}/events?sensors={sensor}")
    await answer.content.readany()
    answer.close()
    gate = api.app[GATE]
    for _ in range(100):
        if not gate.taken:
            break
        await asyncio.sleep(0.05)
    assert gate.taken == 0, "the answer is still in work 5 s after its client went away"


async def test_a_client_that_takes_nothing_is_let_go(
    apis: Apis, settings: Settings, store: Store, sensor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.many_events(sensor, 40_000, 100_000)
    monkeypatch.setattr(answers, "READER_SECONDS", 0.2)
    api = await apis.start(settings, unpaged_window=1000)
    host, port = api.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(f"GET /events?sensors={sensor} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readline()
    gate = api.app[GATE]
    for _ in range(600):
        if not gate.taken:
            break
        await asyncio.sleep(0.1)
    assert gate.taken == 0, "the answer is still in work after 60 s"
    got = b""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            got += chunk
    assert not got.endswith(b"0\r\n\r\n"), "what was broken off looks whole"
    writer.close()


async def test_rows_are_separated_by_lines_so_that_they_can_be_read_one_by_one(
    apis: Apis, settings: Settings, store: Store, sensor: str
) -> None:
    store.many_events(sensor, 50)
    api = await apis.start(settings, unpaged_window=7)
    async with api.http.get(f"{api.base}/events?sensors={sensor}") as answer:
        lines = (await answer.text()).splitlines()
    assert len(lines) == 52
    assert all(re.fullmatch(r"\{.*\},?", line) for line in lines[1:-1])
