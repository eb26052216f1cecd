"""NetAlertX's API, writing: its document, the table of errors of the facts, and what becomes of a session."""

import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy import auth
from producers.kafka.publisher import Publisher
from schemas.records import normal_mac
from schemas.scopes import Scope
from schemas.settings import Settings
from schemas.topics import CONNECTIONS_IN, native_topic
from tests.conformance.conftest import Apis
from tests.conformance.netalertx import NetAlertX, a_mac, stored
from tests.conformance.store import Store
from tests.processes import Processes, processes_of
from tests.workers import until

pytestmark = pytest.mark.integration

EXAMPLE = {"ip": "192.168.1.10", "start_time": "2025-08-01T10:00:00", "end_time": "2025-08-01T12:00:00"}
CREATE, DELETE = "/sessions/create", "/sessions/delete"


@pytest.fixture
async def asked(apis: Apis, settings: Settings, tmp_path: Path) -> NetAlertX:
    """Without worker and sink: what is written is never seen."""
    file = tmp_path / "credentials.json"
    token = auth.add_token(file, "page", [Scope.WRITE], None)
    return NetAlertX(await apis.start(settings, auth_file=str(file), write_seconds=0.5), token)


async def refused(asked: NetAlertX, body: Any, status: int = 422, method: str = "POST") -> dict[str, Any]:
    found = await asked.ask(method, CREATE if method == "POST" else DELETE, body, status)
    assert found.pop("success") is False
    return dict(found)


async def test_what_is_missing_is_named_the_first_one_in_the_sentence(asked: NetAlertX) -> None:
    for left_out, first in (
        ({"mac"}, "mac"),
        ({"ip"}, "ip"),
        ({"ip", "start_time"}, "ip"),
        ({"start_time"}, "start_time"),
    ):
        body = {"mac": "aa:bb:cc:dd:ee:ff", **EXAMPLE}
        found = await refused(asked, {name: value for name, value in body.items() if name not in left_out})
        assert found["error"] == f"Missing required '{first}'"
        assert found["details"] == [
            {"type": "missing", "loc": [name], "msg": "Field required"} for name in sorted(left_out)
        ]
    assert (await refused(asked, {}, method="DELETE"))["error"] == "Missing required 'mac'"


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("mac", "zz", "Value error, Invalid MAC address format: zz"),
        ("mac", "aabb.ccdd.eeff", "Value error, Invalid MAC address format: aabb.ccdd.eeff"),
        ("mac", "aa:bb-cc:dd:ee:ff", "Value error, Invalid MAC address format: aa:bb-cc:dd:ee:ff"),
        ("mac", "", "Value error, Invalid MAC address format: "),
        ("mac", 112233445566, "Input should be a valid string"),
        ("ip", "999.1.1.1", "Value error, Invalid IP address: 999.1.1.1"),
        ("ip", "", "Value error, Invalid IP address: "),
        ("ip", None, "Input should be a valid string"),
        ("start_time", 1754042400, "Input should be a valid string"),
        ("end_time", 1754042400, "Input should be a valid string"),
        ("end_time", "2025-08-01T09:59:59", "Value error, end_time is before start_time"),
        ("event_type_conn", ["Connected"], "Input should be a valid string"),
        ("event_type_disc", "x" * 256, "Value error, a type of an event has at most 255 printable characters"),
    ],
)
async def test_what_is_wrong_is_refused_in_the_products_words(
    asked: NetAlertX, member: str, value: Any, said: str
) -> None:
    found = await refused(asked, {"mac": "aa:bb:cc:dd:ee:ff", **EXAMPLE, member: value})
    assert found["error"] == f"Validation Error: {said}"
    assert [one["loc"] for one in found["details"]] == [[member]]


async def test_times_that_are_none_are_refused_when_they_are_written(asked: NetAlertX) -> None:
    wrong = ("yesterday", "2025-02-30T00:00:00", "1969-12-31T23:59:59", "2200-01-01T00:00:01", "9999-12-31", "Fri,")
    for member in ("start_time", "end_time"):
        for text in wrong:
            found = await refused(asked, {"mac": "aa:bb:cc:dd:ee:ff", **EXAMPLE, member: text})
            said = f"Validation Error: Value error, Invalid {member}: {text}; expected a time"
            assert found["error"].startswith(said)
    found = await refused(asked, {"mac": "aa:bb:cc:dd:ee:ff", **EXAMPLE, "start_time": ""}, 400)
    assert found == {
        "error": "Missing required 'mac', 'ip', or 'start_time' query parameter",
        "message": "ERROR: Missing parameters",
    }


async def test_a_body_that_is_no_object_of_json_is_refused(asked: NetAlertX) -> None:
    for method in ("POST", "DELETE"):
        invalid = {"error": "Invalid JSON", "message": "Request body must be valid JSON"}
        for body in (b"{", b"", b'{"mac": NaN}', b'"\xff"', b'{"mac": "\\ud800"}'):
            assert await refused(asked, body, 400, method) == invalid
        for body in (b"[]", b"1", b"null", b'"text"'):
            found = await refused(asked, body, 400, method)
            assert found == {"error": "Invalid Request", "message": "Unable to process request body"}
        twice = await refused(asked, b'{"mac": "aa:bb:cc:dd:ee:ff", "mac": "aa:bb:cc:dd:ee:ff"}', 400, method)
        assert twice == {"error": "mac is given twice"}
        path = CREATE if method == "POST" else DELETE
        for data, kind in ((b"mac=x", {"Content-Type": "text/plain"}), (None, {})):
            url = f"{asked.api.base}{path}?token={asked.token}"
            async with asked.api.http.request(method, url, data=data, headers=kind) as answer:
                assert answer.status == 415
                assert await answer.json() == {
                    "success": False,
                    "error": "Invalid Content-Type",
                    "message": "Content-Type must be application/json",
                }


async def test_doors_for_writing_are_no_devices(asked: NetAlertX) -> None:
    for path, allowed in ((CREATE, "POST"), (DELETE, "DELETE")):
        async with asked.api.http.get(f"{asked.api.base}{path}?token={asked.token}") as answer:
            assert answer.status == 405
            assert set(answer.headers["Allow"].split(",")) == {"OPTIONS", allowed}
            assert (await answer.json())["success"] is False


async def test_while_nothing_stores_it_a_write_is_pending(asked: NetAlertX, store: Store, sensor: str) -> None:
    mac = a_mac()
    found = await asked.ask("POST", CREATE, {"mac": mac, **EXAMPLE}, 202)
    assert found == {"success": True, "message": f"Session created for MAC {mac}", "pending": True}
    mac = a_mac()
    stored(store, sensor, mac, ("2025-08-01T10:00:00", None), created_at="2025-08-01 10:00:00")
    found = await asked.ask("DELETE", DELETE, {"mac": mac}, 202)
    assert found == {"success": True, "message": f"Deleted sessions for MAC {mac}", "pending": True}


async def test_without_kafka_a_write_is_503_and_can_be_sent_again(apis: Apis, settings: Settings) -> None:
    away = msgspec.structs.replace(settings.kafka, bootstrap="127.0.0.1:1")
    api = await apis.start(msgspec.structs.replace(settings, kafka=away), write_seconds=0.5)
    headers = {"Content-Type": "application/json"}
    body = msgspec.json.encode({"mac": a_mac(), **EXAMPLE})
    async with api.http.post(api.base + CREATE, data=body, headers=headers) as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        found = await answer.json()
    assert found["success"] is False
    assert found["error"] == "Service Unavailable"


async def test_who_may_not_see_all_sensors_writes_nothing_of_those_he_does_not_see(
    apis: Apis, settings: Settings, tmp_path: Path, sensor: str
) -> None:
    file = tmp_path / "credentials.json"
    restricted = auth.add_token(file, "restricted", [Scope.WRITE], sensor)
    reader = auth.add_token(file, "reader", [Scope.READ], None)
    api = await apis.start(settings, auth_file=str(file))
    for token in (restricted, reader):
        asked = NetAlertX(api, token)
        for method, body in (("POST", {"mac": a_mac(), **EXAMPLE}), ("DELETE", {"mac": a_mac()})):
            found = await refused(asked, body, 403, method)
            assert found["error"] == "Forbidden"


@pytest.fixture(scope="module")
def pipeline(stack: Any) -> Iterator[tuple[Settings, Processes]]:
    with processes_of(stack.settings) as processes:
        for command in ("process", "sink"):
            processes.start(command)
        yield stack.settings, processes


@pytest.fixture
async def live(pipeline: tuple[Settings, Processes], apis: Apis, tmp_path: Path) -> AsyncIterator[NetAlertX]:
    """The whole pipeline; a write may take as long as a slow machine needs."""
    settings, _ = pipeline
    file = tmp_path / "credentials.json"
    token = auth.add_token(file, "page", [Scope.WRITE], None)
    yield NetAlertX(await apis.start(settings, auth_file=str(file), write_seconds=60), token)


async def created(live: NetAlertX, mac: str, **fields: Any) -> None:
    body = {name: value for name, value in {"mac": mac, **EXAMPLE, **fields}.items() if value is not None}
    found = await live.ask("POST", CREATE, body)
    assert found == {"success": True, "message": f"Session created for MAC {mac}"}


async def test_what_was_created_is_read_and_what_was_deleted_is_not(live: NetAlertX) -> None:
    mac = a_mac()

    async def listed(**params: str) -> list[tuple[str, str, str]]:
        found = await live.sessions("/sessions/list", mac=mac, **params)
        return [(one["ses_Connection"][-5:], one["ses_Disconnection"][-5:], one["ses_Duration"]) for one in found]

    await created(live, mac)
    (found,) = await live.sessions("/sessions/list", mac=mac, start_date="2025-08-01", end_date="2025-08-21")
    assert found["ses_MAC"] == mac
    assert (found["ses_Connection"], found["ses_Disconnection"]) == ("2025-08-01 10:00", "2025-08-01 12:00")
    assert (found["ses_Duration"], found["ses_IP"], found["ses_Info"]) == ("2h 0m", "192.168.1.10", "")
    assert (found["ses_EventTypeConnection"], found["ses_EventTypeDisconnection"]) == ("Connected", "Disconnected")
    # Equal ones are two; a request that is sent again with its key is one.
    await created(live, mac)
    again = {
        "mac": mac.lower(),
        **EXAMPLE,
        "start_time": "Fri, 01 Aug 2025 09:00:00 GMT",
        "event_type_disc": "Device Down",
    }
    for _ in range(2):
        await live.ask("POST", CREATE, again, headers={"Idempotency-Key": mac})
    assert await listed() == [("10:00", "12:00", "2h 0m")] * 2 + [("09:00", "12:00", "3h 0m")]
    # Without an end it is open, and ends as any other of the device; what has both ends took no part.
    await created(live, mac, start_time="2025-08-01T11:00:00", end_time=None, event_type_conn="New Device")
    assert (await listed())[0] == ("11:00", "...", "...")
    await created(live, mac, start_time="2025-08-02T11:00:00", end_time=None)
    assert (await listed())[:2] == [("11:00", "...", "..."), ("11:00", "vent>", "...")]

    deleted = {"success": True, "message": f"Deleted sessions for MAC {mac.lower()}"}
    assert await live.ask("DELETE", DELETE, {"mac": mac.lower()}) == deleted
    assert await listed() == []
    assert await live.ask("DELETE", DELETE, {"mac": mac.lower()}) == deleted
    assert await live.sessions(f"/sessions/{mac}", period="100 years") == []
    assert await live.sessions("/sessions/calendar", start="2025-08-01", end="2025-08-03", mac=mac) == []
    # What was deleted stays so; what comes after it is new.
    gone = {"mac": mac, **EXAMPLE, "start_time": "2025-08-02T11:00:00", "end_time": None}
    assert (await live.ask("POST", CREATE, gone, 409))["error"] == "Conflict"
    await created(live, mac)
    assert await listed() == [("10:00", "12:00", "2h 0m")]


async def test_a_created_session_pairs_with_what_a_sensor_sees(
    live: NetAlertX, pipeline: tuple[Settings, Processes], sensor: str
) -> None:
    mac, now = a_mac(), int(time.time())
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 7200))
    await created(live, mac, start_time=start, end_time=None)
    gone = {"action": "disconnect", "sensor": sensor, "mac": mac.lower(), "time": now - 3600, "kind": "Device Down"}
    settings, _ = pipeline
    async with Publisher(settings.kafka) as publisher:
        key = msgspec.json.encode([normal_mac(mac)])
        await (await publisher.send(CONNECTIONS_IN, key, msgspec.json.encode(gone)))

    async def closed() -> bool:
        return [one["ses_Duration"] for one in await live.sessions(f"/sessions/{mac}")] == ["1h 0m"]

    await until(closed, 60, lambda: "the session is not closed")
    rows = (await live.get("/sessions/session-events", type="down", period="1 day"))["data"]
    assert [row[4] for row in rows if row[13] == mac.lower()] == ["Device Down"]


async def test_events_of_netalertx_are_read_as_the_sessions_they_make(
    live: NetAlertX, pipeline: tuple[Settings, Processes]
) -> None:
    """New Device and Connected in one second are one session; a second opening leaves the first without an end."""
    mac = a_mac()
    day = datetime.now(UTC).date() - timedelta(days=2)
    events = [
        ("10:00:00", "Connected", ""),
        ("10:00:00", "New Device", "ACME"),
        ("11:00:00", "Device Down", "gone"),
        ("12:00:00", "Connected", ""),
        ("12:30:00", "IP Changed", "Previous IP: 192.168.1.9"),
        ("13:00:00", "Down Reconnected", ""),
    ]
    settings, _ = pipeline
    async with Publisher(settings.kafka) as publisher:
        for clock, kind, info in events:
            row = {
                "eve_MAC": mac,
                "eve_IP": "192.168.1.10",
                "eve_DateTime": f"{day} {clock}",
                "eve_EventType": kind,
                "eve_AdditionalInfo": info,
            }
            key = msgspec.json.encode([normal_mac(mac)])
            await (await publisher.send(native_topic("netalertx"), key, msgspec.json.encode(row)))
    found: list[dict[str, Any]] = []

    async def three() -> bool:
        found[:] = await live.sessions("/sessions/list", mac=mac)
        return [one["ses_EventTypeConnection"] for one in found] == ["Down Reconnected", "Connected", "New Device"]

    await until(three, 60, lambda: f"no three sessions: {found}")
    shown = [(one["ses_Connection"][-5:], one["ses_Disconnection"][-5:], one["ses_Duration"]) for one in found]
    assert shown == [("13:00", "...", "..."), ("12:00", "vent>", "..."), ("10:00", "11:00", "1h 0m")]
    assert found[2]["ses_EventTypeDisconnection"] == "Device Down"
    assert [one["ses_Info"] for one in found] == ["", "", "New Device:   ACME"]
    happened: list[str] = []

    async def all_stored() -> bool:
        rows = (await live.get("/sessions/session-events", period="7 days"))["data"]
        happened[:] = [row[4] for row in rows if row[13] == mac]
        return sorted(happened) == sorted(kind for _, kind, _ in events)

    await until(all_stored, 60, lambda: f"events: {happened}")
    assert happened[0] == "Down Reconnected"


async def test_a_device_is_called_what_scans_say_wherever_it_is_shown(
    live: NetAlertX, pipeline: tuple[Settings, Processes]
) -> None:
    """A scan names it before anything else has happened; a later one renames it, and the first comes once more."""
    mac, now = a_mac(), int(time.time())
    seen = {"mac": mac, "ip": "192.168.1.10", "vendor": "ACME"}
    scans = [
        {**seen, "time": now - 7200, "name": "printer", "owner": "Ada"},
        {**seen, "time": now - 3600, "mac": mac.lower(), "name": "Drucker"},
        {**seen, "time": now - 1800},
        {**seen, "time": now - 7200, "name": "printer", "owner": "Ada"},
    ]
    gone = {"eve_MAC": mac, "eve_DateTime": now - 900, "eve_EventType": "Device Down"}
    settings, _ = pipeline
    async with Publisher(settings.kafka) as publisher:
        for record in (*scans, gone):
            key = msgspec.json.encode([normal_mac(mac)])
            await (await publisher.send(native_topic("netalertx"), key, msgspec.json.encode(record)))
    called: list[tuple[str, ...]] = []

    async def everywhere() -> bool:
        devices = await live.get("/devices/by-status?status=down")
        called[:] = [(one["devName"], one["devOwner"]) for one in devices if one["devMac"] == mac]
        for type_ in ("sessions", "down"):
            rows = (await live.get("/sessions/session-events", type=type_))["data"]
            called.extend((row[1], row[2]) for row in rows if row[13] == mac)
        return called == [("Drucker", "Ada")] * 3

    await until(everywhere, 60, lambda: f"the device is called {called}")
