"""Honeytrap's WebSocket and the streams beside it (reference: honeytrap-facts 4.4)."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from deploy import auth
from query_api.dialects.honeytrap.records import writer
from query_api.live.channel import KEPT_RECORDS
from query_api.live.tail import TAIL
from schemas.records import DurationQuality, EndReason, Event, Session, State
from schemas.scopes import Scope
from schemas.settings import Settings
from schemas.times import to_datetime
from tests.conformance.conftest import Api, Apis
from tests.conformance.live import PATIENCE, TIME, connected, narrow, sensor_of, streaming
from tests.conformance.store import Store

pytestmark = pytest.mark.integration


def only(sensor: str) -> dict[str, Any]:
    return {"payload": {"sensors": [f"^{sensor}"]}}


def datas(rows: list[dict[str, Any]]) -> list[str]:
    return [row["data"] for row in rows]


def a_session(sensor: str, **fields: Any) -> Session:
    key = msgspec.json.encode([sensor, "1"]).decode()
    return Session(**{"session_id": "1", "sensor": sensor, "key": key, "protocol": "ssh", "started_at": TIME, **fields})


async def test_a_request_for_events_is_answered_with_the_newest(api: Api, store: Store, sensor: str) -> None:
    store.many_events(sensor, 1001)
    async with connected(api) as client:
        reply = await client.reply({"type": 3, **only(sensor)})
        assert (reply["type"], reply["matched"], reply["truncated"], len(reply["payload"])) == (4, 1001, True, 1000)
        assert reply["total"] >= 1001
        page = await api.get("/events", {"sensors": [f"^{sensor}"], "response_per_page": 1000, "page": 1})
        assert reply["payload"] == page["events"]


async def test_a_request_for_sessions_may_ask_for_a_page(api: Api, store: Store, sensor: str) -> None:
    store.many_sessions(sensor, 5)
    async with connected(api) as client:
        wanted = {"sensors": [f"^{sensor}"], "types": [6, "^telnet$"], "response_per_page": 2, "page": 3}
        for request in ({"type": 1, "payload": wanted}, {"type": 1, **wanted}, {"type": 1, "payload": None, **wanted}):
            reply = await client.reply(request)
            assert (reply["type"], reply["response_per_page"], reply["page"], reply["matched"]) == (2, 2, 3, 5)
            assert [row["session_id"] for row in reply["payload"]] == ["00000000"]
            assert "truncated" not in reply
        assert (await client.reply({"type": 1, **only("nobody-has-this-name")}))["payload"] == []


@pytest.mark.parametrize(
    ("sent", "number", "words"),
    [
        ({"type": 20}, 20, "Unknown Request Type"),
        ({"type": 2}, 2, "Unknown Request Type"),
        ({"type": "3"}, 0, "type must be an integer"),
        ({"type": True}, 0, "type must be an integer"),
        ({}, 0, "type must be an integer"),
        (b"[1]", 0, "must be a JSON object"),
        (b'{"type":3,"type":1}', 0, "given twice"),
        (b"what?", 0, "not JSON"),
        ({"type": 3, "payload": []}, 3, "payload must be an object"),
        ({"type": 3, "payload": {"sensor": ["a"]}}, 3, "there is no field sensor"),
        ({"type": 3, "payload": {"sensors": ["("]}}, 3, "sensors has an invalid regex (RE2): missing )"),
        ({"type": 1, "payload": {"types": [None]}}, 1, "types must have integers and texts only"),
        ({"type": 1, "payload": {"page": 1}}, 1, "page needs response_per_page"),
        ({"type": 1, "page": 1, "payload": {"page": 1}}, 1, "page is given in the payload and beside it"),
    ],
)
async def test_what_cannot_be_answered_is_an_error_of_the_documented_form(
    api: Api, sent: Any, number: int, words: str
) -> None:
    async with connected(api) as client:
        reply = await client.reply(sent)
        assert reply == {"type": 7, "payload": {"request": number, "error": reply["payload"]["error"]}}
        assert words in reply["payload"]["error"]
        # The connection lives on.
        assert (await client.reply({"type": 3, "payload": {"response_per_page": 1}}))["type"] == 4


async def test_events_and_sessions_are_pushed_unasked_to_everybody(api: Api, settings: Settings, sensor: str) -> None:
    async with connected(api) as one, connected(api) as other, sensor_of(settings, sensor) as publishing:
        await publishing.events("whoami", "id")
        await publishing.session(a_session(sensor))
        for client in (one, other):
            await client.until(lambda found: len(found.of(sensor)) == 2 and len(found.of(sensor, 5)) == 1)
            assert datas(client.of(sensor)) == ["whoami", "id"]
            assert client.of(sensor, 5)[0]["type"] == 5
            assert client.lost == 0


async def test_a_session_is_pushed_again_when_it_changes_and_hidden_ones_never(
    api: Api, settings: Settings, sensor: str
) -> None:
    async with connected(api) as client, sensor_of(settings, sensor) as publishing:
        await client.reply({"type": 1, "payload": {"sensors": [f"^{sensor}$"], "types": ["ssh"]}})
        await publishing.session(a_session(sensor, protocol="telnet"))
        await publishing.session(a_session(sensor, removed=True))
        await publishing.session(a_session(sensor, held=True))
        await publishing.session(a_session(sensor, version=1))
        await publishing.session(a_session(sensor, version=2, state=State.CLOSED, ended_at=TIME + 1))
        await client.until(lambda found: len(found.of(sensor, 5)) == 2)
        assert [(row["type"], row["details"]["version"]) for row in client.of(sensor, 5)] == [(5, 1), (6, 2)]


async def test_the_filters_of_the_last_request_hold_for_pushes(api: Api, settings: Settings, sensor: str) -> None:
    async with connected(api) as client, sensor_of(settings, sensor) as publishing:
        filters = {"sensors": [f"^{sensor}$"], "types": ["^login", 5]}
        await client.reply({"type": 3, "payload": {**filters, "time_format": "rfc3339"}})
        await publishing.events("no", kind="command")
        await publishing.raw({"sensor": f"{sensor}-2", "time": 1, "kind": "connect", "data": "no"})
        await publishing.events("yes", kind="login.failed")
        await publishing.events("yes, too", kind="connect")
        await client.until(lambda found: len(found.of(sensor)) == 2)
        assert datas(client.of(sensor)) == ["yes", "yes, too"]
        assert client.of(sensor)[0]["started"] == to_datetime(TIME).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        await client.reply({"type": 3, **only(sensor)})
        await publishing.events("now this", kind="command")
        await client.until(lambda found: "now this" in datas(found.of(sensor)))
        assert len(client.pushed) == 3


async def test_what_is_pushed_is_what_a_page_shows(api: Api, settings: Settings, store: Store, sensor: str) -> None:
    event = Event(
        sensor=sensor, time=TIME, kind="command", started=TIME + 1, ended=TIME + 2_999_999, session_id="s", token="t",
        location="cellar", category="group", client_ip="2001:db8::1", client_port=22, server_ip="10.0.0.1",
        data="cat /etc/\u2028pass\"wd", container_id="c",
        details=msgspec.Raw(b'{"a":{"b":[1,2.5,null]},\n"c":"\\u00fc/"}'),
    )  # fmt: skip
    session = a_session(
        sensor, state=State.CLOSED, end_reason=EndReason.DISCONNECT, ended_at=TIME + 1_500_000, duration=1.5,
        duration_quality=DurationQuality.EXACT, last_activity_at=TIME + 7, user="root", client_ip="10.1.1.1",
        client_port=4711, event_count=3, version=2, mac="aa:bb", client_name="c", server_name="s", user_id="u",
        server_user="v", connect_kind="Connected", disconnect_kind="Disconnected", flags=["clock_skew"],
        attributes={"z": "1", "a": "2"}, created_at=TIME, modified_at=TIME,
    )  # fmt: skip
    orphan = a_session(f"{sensor}-orphan", started_at=None, ended_at=TIME + 5, state=State.CLOSED, created_at=1)
    store.events([stored(event)])
    store.sessions([stored(session), stored(orphan)])
    for path, records in (("/events", [event]), ("/sessions", [session, orphan])):
        for form in ({}, {"time_format": "rfc3339"}):
            shown = (await api.get(path, {"sensors": [f"^{sensor}"], **form}))["events"]
            written = [msgspec.json.decode(writer(bool(form))(record)) for record in records]
            assert sorted(shown, key=lambda row: row["sensor"]) == written


def stored(record: Event | Session) -> dict[str, Any]:
    """The record's row, as the sink makes it."""
    row: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record))
    for name in row:
        if name.endswith("_at") or name in ("time", "started", "ended"):
            row[name] = to_datetime(row[name]).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(record, Event):
        row["details"] = bytes(record.details).decode()
        for name in ("kind", "type"):
            row[name] = getattr(record, name)
    return row


async def test_who_does_not_read_loses_the_oldest_is_told_how_many_and_slows_nobody(
    api: Api, settings: Settings, sensor: str
) -> None:
    async with connected(api) as quick, narrow(api) as slow, sensor_of(settings, sensor) as publishing:
        for client in (quick, slow):
            await client.reply({"type": 3, **only(sensor)})
        names = [f"{n:04} {'x' * 2000}" for n in range(KEPT_RECORDS * 4)]
        for start in range(0, len(names), 200):
            await publishing.events(*names[start : start + 200])
            await quick.until(lambda found, count=start + 200: len(found.pushed) >= count)  # type: ignore[misc]
        assert datas(quick.pushed) == names
        assert quick.lost == 0
        await slow.until(lambda found: len(found.pushed) + found.lost >= len(names))
        got = datas(slow.pushed)
        assert slow.lost > 0
        assert len(got) + slow.lost == len(names)
        assert got == sorted(got)
        assert got[-KEPT_RECORDS:] == names[-KEPT_RECORDS:]


async def test_frames_are_text_for_who_asks_so(api: Api) -> None:
    async with api.http.ws_connect(f"{api.base}/ws?frames=text") as ws:
        await ws.send_json({"type": 1, "payload": {"response_per_page": 1}})
        assert (await ws.receive_json(timeout=PATIENCE))["type"] == 2
    assert (await api.refused("/ws?frames=xml"))["field"] == "frames"
    assert (await api.refused("/ws?sensors=a"))["field"] == "sensors"


async def test_the_server_pings_and_answers_pings(api: Api) -> None:
    async with api.http.ws_connect(f"{api.base}/ws", autoping=False) as ws:
        await ws.ping(b"there?")
        seen = set()
        while seen < {aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG}:
            seen.add((await ws.receive(PATIENCE)).type)


async def test_without_an_upgrade_the_path_says_what_it_speaks(api: Api) -> None:
    async with api.http.get(f"{api.base}/ws") as answer:
        assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")
        assert "WebSocket" in (await answer.json())["error"]


async def test_pages_of_other_origins_may_not_open_it(apis: Apis, settings: Settings) -> None:
    api = await apis.start(settings, origins="https://console.example")
    for origin, status in (("https://evil.example", 403), ("https://console.example", 101), (api.base, 101)):
        if status == 101:
            async with connected(api, headers={"Origin": origin}) as client:
                assert (await client.reply({"type": 20}))["type"] == 7
            continue
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await api.http.ws_connect(f"{api.base}/ws", headers={"Origin": origin})
        assert refused.value.status == status


async def test_a_credential_gets_its_sensors_only_and_ends_with_it(
    apis: Apis, settings: Settings, sensor: str, tmp_path: Path
) -> None:
    file = tmp_path / "credentials.json"
    token = auth.add_token(file, "one", [Scope.READ], f"{sensor}-mine.*")
    ingesting = auth.add_token(file, "two", [Scope.INGEST], None)
    api = await apis.start(settings, auth_file=str(file))
    for path in ("/ws", "/events/stream", "/sessions/stream"):
        assert (await api.refused(path, status=401))["error"]
        await api.refused(path, status=403, headers={"Authorization": f"Bearer {ingesting}"})
    shown = {"Authorization": f"Bearer {token}"}
    async with (
        connected(api, headers=shown) as client,
        streaming(api, "/events/stream", **shown) as stream,
        sensor_of(settings, f"{sensor}-other") as other,
        sensor_of(settings, f"{sensor}-mine") as mine,
    ):
        await stream.placed()
        await client.reply({"type": 3, "payload": {"sensors": [sensor]}})
        await other.events("theirs")
        await other.session(a_session(f"{sensor}-other"))
        await mine.session(a_session(f"{sensor}-mine"))
        await mine.events("ours")
        await client.until(lambda found: len(found.pushed) == 2)
        assert {row["sensor"] for row in client.pushed} == {f"{sensor}-mine"}
        assert (await stream.row())["data"] == "ours"
        async with streaming(api, "/events/stream", await stream.placed(), **shown) as again:
            await mine.events("ours, too")
            assert (await again.row())["data"] == "ours, too"
        auth.revoke(file, "one")
        while (received := await client.ws.receive(PATIENCE)).type is aiohttp.WSMsgType.BINARY:
            pass
        assert received.type is aiohttp.WSMsgType.CLOSE
        assert received.data == aiohttp.WSCloseCode.POLICY_VIOLATION
        with pytest.raises(EOFError):
            while True:
                await stream.block()


async def test_clients_are_limited_in_all_and_by_credential(apis: Apis, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    tokens = [auth.add_token(file, name, [Scope.READ], None) for name in ("one", "two")]
    api = await apis.start(settings, auth_file=str(file), live_clients=3, live_clients_of_one=2)
    one, two = ({"Authorization": f"Bearer {token}"} for token in tokens)
    async with connected(api, headers=one), streaming(api, "/sessions/stream", **one):
        assert "one" in (await api.refused("/events/stream", status=429, headers=one))["error"]
        async with connected(api, headers=two):
            assert (await api.refused("/events/stream", status=503, headers=two))["error"]
    # Their places are free again.
    async with asyncio.timeout(PATIENCE):
        while api.app[TAIL].gate.taken:  # noqa: ASYNC110 - nobody calls back
            await asyncio.sleep(0.01)
    async with streaming(api, "/events/stream", **one):
        pass


async def test_a_server_that_ends_says_goodbye_to_everybody(apis: Apis, settings: Settings) -> None:
    api = await apis.start(settings)
    async with connected(api) as client, narrow(api) as deaf, streaming(api, "/events/stream") as stream:
        ending = asyncio.create_task(apis.stop())
        while (received := await client.ws.receive(PATIENCE)).type is aiohttp.WSMsgType.BINARY:
            pass
        assert (received.type, received.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)
        await client.ws.close()
        with pytest.raises(EOFError):
            while True:
                await stream.block()
        async with asyncio.timeout(15):
            await ending
        assert deaf.ws is not None


async def test_a_stream_gives_rows_and_goes_on_where_its_client_was_on_another_server(
    apis: Apis, settings: Settings, sensor: str
) -> None:
    first, second = await apis.start(settings), await apis.start(settings)
    path = f"/events/stream?sensors=^{sensor}&types=command"
    async with sensor_of(settings, sensor) as publishing:
        async with streaming(first, path) as stream:
            await stream.placed()
            await publishing.events("1", "2", kind="command")
            assert [(await stream.row())["data"] for _ in range(2)] == ["1", "2"]
            last = stream.last_id
        await publishing.events("no", kind="connect")
        await publishing.events(*(str(n) for n in range(3, 2000)), kind="command")
        async with streaming(second, path, last) as stream:
            seen = [(await stream.row())["data"] for _ in range(1000)]
            middle = stream.last_id
        async with streaming(first, path, middle) as stream, streaming(first, path) as live:
            await live.placed()
            await publishing.events("2000", "2001", kind="command")
            seen += [(await stream.row())["data"] for _ in range(999)]
            assert [(await live.row())["data"] for _ in range(2)] == ["2000", "2001"]
            # Caught up, it goes on as the others do.
            await publishing.events("2002", kind="command")
            assert (await stream.row())["data"] == (await live.row())["data"] == "2002"
        assert seen == [str(n) for n in range(3, 2002)]
        assert stream.lost == 0


async def test_a_stream_of_sessions_goes_on_too(api: Api, settings: Settings, sensor: str) -> None:
    path = f"/sessions/stream?sensors=^{sensor}$&time_format=rfc3339"
    async with sensor_of(settings, sensor) as publishing:
        async with streaming(api, path) as stream:
            last = await stream.placed()
        await publishing.session(a_session(sensor, version=1))
        async with streaming(api, path, last) as stream:
            await publishing.session(a_session(sensor, version=2))
            rows = [await stream.row() for _ in range(2)]
        assert [row["details"]["version"] for row in rows] == [1, 2]
        assert rows[0]["started"].endswith("Z")


async def test_what_a_stream_does_not_take_is_named(api: Api) -> None:
    assert (await api.refused("/events/stream?page=1"))["field"] == "page"
    assert (await api.refused("/events/stream", {"response_per_page": 1}))["field"] == "response_per_page"
    assert (await api.refused("/sessions/stream?sensors=("))["field"] == "sensors"
    assert (await api.refused("/sessions/stream", headers={"Last-Event-ID": "yesterday"}))["field"] == "Last-Event-ID"
