"""What four pages of NetAlertX's front end ask, and what they read of the answers (netalertx-facts 3).

Each test makes a page's calls with its parameters and does with the answers what the page does, in the product's
profile. Newer pages have other names for the same, and leave sorting and searching to the server: both are here.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy import auth
from schemas.scopes import Scope
from schemas.settings import NetAlertX as NetAlertXSettings
from schemas.settings import Settings
from tests.conformance.conftest import Apis
from tests.conformance.netalertx import NetAlertX, a_mac, said, started, stored
from tests.conformance.store import Store, moment

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
#: What the pages hand to a date's constructor once they have cut the offset off.
WRITTEN = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\+00:00")
#: The types of the page of events, and whether their rows are sessions.
TYPES = {"all": False, "sessions": True, "missing": True, "voided": False, "new": False, "down": False}
PERIODS = ("1 day", "7 days", "1 month", "1 year", "100 years")


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat()


@pytest.fixture
async def page(apis: Apis, settings: Settings, tmp_path: Path, sensor: str) -> NetAlertX:
    return await started(apis, settings, tmp_path / "credentials.json", sensor, profile="product")


@pytest.fixture
def mac(store: Store, sensor: str) -> str:
    """A named device with a session of every sort, and another one that nobody named; an hour between any two."""
    mac = a_mac()
    said(store, sensor, mac, ago(hours=1), name="printer <3", owner="Ada")
    stored(store, sensor, mac, (ago(hours=2), None), connect_kind="New Device", attributes={"info": "ACME"})
    stored(store, sensor, mac, (None, ago(hours=3)), (ago(hours=4), "?"), (ago(hours=30), ago(hours=5)))
    stored(store, sensor, a_mac(), (ago(hours=7), ago(hours=6)), client_ip="9.9.9.9", disconnect_kind="Device Down")
    kinds = {"device.new": "New Device", "device.down": "Device Down", "device.voided": "VOIDED - Connected"}
    store.events(
        [
            {
                "sensor": sensor,
                "mac": mac,
                "time": moment(ago(hours=8 + n)),
                "kind": kind,
                "data": label,
                "client_ip": f"192.168.1.{n + 9}",
                "content": f"about {label}",
                "record_id": f"{sensor}-{n}",
            }
            for n, (kind, label) in enumerate(kinds.items())
        ]
    )
    return mac


def shown(text: Any) -> None:
    """What the page of sessions does with a time: methods of a text, then a date."""
    assert isinstance(text, str)
    assert "missing event" in text or "..." in text or WRITTEN.fullmatch(text)


async def test_the_sessions_of_a_device(page: NetAlertX, mac: str) -> None:
    for period in PERIODS:
        data = await page.get(f"/sessions/{mac}", period=period)
        assert data["success"]
        rows = [
            [one[f"ses_{name}"] for name in ("DateTimeOrder", "Connection", "Disconnection", "Duration", "IP", "Info")]
            for one in data["sessions"]
        ]
        names = ("sesDateTimeOrder", "sesConnection", "sesDisconnection", "sesDuration", "sesIp", "sesInfo")
        assert rows == [[one[name] for name in names] for one in data["sessions"]]
        for row in rows:
            shown(row[1])
            shown(row[2])
            assert all(isinstance(cell, str) for cell in row)
        assert [row[3] for row in sorted(rows, reverse=True)] == ["...", "...", "...", "1d 01:00"]
        assert sorted(rows, reverse=True)[0][2:] == ["...", "...", "192.168.1.10", "New Device:   ACME"]


async def test_the_presence_of_a_device(page: NetAlertX, mac: str) -> None:
    start, end = f"{NOW:%Y-%m-01}", f"{NOW + timedelta(days=31):%Y-%m-01}"
    response = await page.get("/sessions/calendar", start=start, end=end, mac=mac)
    assert response["success"]
    assert {one["resourceId"] for one in response["sessions"]} == {mac}
    for event in response["sessions"]:
        drawn(event)
    assert {one["color"] for one in response["sessions"]} <= {"#00a659", "#0073b7", "#f39c12"}
    assert [one["color"] for one in response["sessions"]].count("#00a659") == 1


def drawn(event: dict[str, Any]) -> None:
    """FullCalendar draws what has a start, and of what lasts an end; the page shows the tooltip as a title."""
    began = datetime.fromisoformat(event["start"])
    if event["end"] is not None:
        assert datetime.fromisoformat(event["end"]) >= began
    lines = event["tooltip"].split("\n")
    assert [line.partition(": ")[0] for line in lines] == ["Connection", "Disconnection", "IP"]
    assert event["color"] != "#00a659" or (event["end"] is not None and "<still connected>" in lines[1])
    assert event["className"] == "no-border" and event["title"] == ""


async def test_the_presence_of_all_devices(page: NetAlertX, mac: str) -> None:
    """Lines and bars come from two answers, and are joined by the address."""
    assert await page.get("/devices/totals") == [2, 1, 0, 1, 1, 0]
    lines = {}
    for status, number in (("all", 2), ("connected", 1), ("favorites", 0), ("new", 1), ("down", 1), ("archived", 0)):
        devices = await page.get(f"/devices/by-status?status={status}")
        lines[status] = {one["devMac"]: one["devName"] for one in devices}
        assert len(lines[status]) == number
    assert lines["connected"] == lines["new"] == {mac: "printer <3"}
    start, end = f"{NOW - timedelta(days=7):%Y-%m-%d}", f"{NOW + timedelta(days=1):%Y-%m-%d}"
    # Its calendar adds a range of its own behind that of the address, and the time of asking.
    address = f"/sessions/calendar?start={start}&end={end}&start=2020-01-01&end=2020-01-08&_=1763800000000"
    sessions = (await page.ask("GET", address))["sessions"]
    assert len(sessions) == 5
    for event in sessions:
        drawn(event)
        assert event["resourceId"] in lines["all"]
        assert "\n" in event["tooltip"].replace("\n", " | ", 1)


async def test_the_page_of_events(page: NetAlertX, mac: str) -> None:
    for period in PERIODS:
        totals = await page.get("/sessions/totals", period=period)
        assert totals == [3, 5, 2, 1, 1, 1]
        for (kind, of_sessions), total in zip(TYPES.items(), totals, strict=True):
            response = await page.get("/sessions/session-events", type=kind, period=period)
            rows = response if isinstance(response, list) else response["data"]
            assert len(rows) == total
            for row in rows:
                assert len(row) == 15
                assert row[1:3] == (["printer <3", "Ada"] if row[13] == mac else [row[13], ""])
                readable(row, of_sessions)


def readable(row: list[Any], of_sessions: bool) -> None:
    assert datetime.strptime(row[0], "%Y-%m-%d %H:%M:%S")
    if of_sessions:
        assert row[3] is row[4] is None
        shown(row[5])
        shown(row[6])
        assert isinstance(row[7], str) and isinstance(row[8], int)
        assert row[12] in (0, 1) and row[14] == 0
    else:
        assert WRITTEN.fullmatch(row[3]) and isinstance(row[4], str)
        assert row[5:9] == [None] * 4 and row[12] is None
    assert isinstance(row[9], str) and isinstance(row[10], int)


async def test_the_newer_page_of_events_has_its_rows_sorted_searched_and_cut(page: NetAlertX, mac: str) -> None:
    async def rows(**params: str) -> tuple[list[Any], int, int]:
        found = await page.get("/sessions/session-events", **{"type": "sessions", "period": "7 days", **params})
        return found["data"], found["total"], found["recordsFiltered"]

    everything = (await page.get("/sessions/session-events", type="sessions", period="7 days"))["data"]
    # What lasts has a duration that goes on: compared without.
    [row.__setitem__(slice(7, 9), []) for row in everything]

    async def cut(**params: str) -> list[Any]:
        found, *counts = await rows(**params)
        assert counts == [5, 5]
        [row.__setitem__(slice(7, 9), []) for row in found]
        return found

    assert await cut(page="1", limit="1000") == await cut(limit="-1") == await cut(sortDir="DESC") == everything
    pages = [await cut(page=str(number), limit="2", sortCol="0", sortDir="desc") for number in (1, 2, 3, 4)]
    assert [len(part) for part in pages] == [2, 2, 1, 0]
    assert [row for part in pages for row in part] == everything
    assert await cut(sortCol="0", sortDir="asc") == everything[::-1]
    by_address = await cut(sortCol="9", sortDir="asc")
    assert by_address[0][7] == "9.9.9.9"  # As a number: as text it would be the last one.
    lasted, *_ = await rows(sortCol="7", sortDir="desc")
    assert [row[8] // 3600 for row in lasted] == [25, 2, 1, 0, 0]
    named, *_ = await rows(sortCol="1", sortDir="desc")
    assert named[0][1] == "printer <3"
    for column in range(15):
        for kind in TYPES:
            found, *_ = await rows(sortCol=str(column), sortDir="asc", type=kind)
            assert len(found) > 0

    found, total, filtered = await rows(search="PRINTER")
    assert (len(found), total, filtered) == (4, 5, 4)
    found, total, filtered = await rows(search="9.9.9.9", limit="1")
    assert (len(found), total, filtered) == (1, 5, 1)
    assert (await rows(search="voided", type="all"))[1:] == (3, 1)
    assert await rows(search="%' OR 1=1 --") == ([], 5, 0)
    assert await rows(type="nonsense", page="1") == ([], 0, 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("page", text) for text in ("0", "x", "9999999999", "99999999999")),
        *(("limit", text) for text in ("0", "1001", "-2", "1.5")),
        *(("sortCol", text) for text in ("15", "-1")),
        ("sortDir", "up"),
        ("search", "x" * 1025),
    ],
)
async def test_a_page_that_cannot_be_is_refused_by_name(page: NetAlertX, name: str, text: str) -> None:
    refused = await page.get("/sessions/session-events", 400, **{name: text})
    assert refused["success"] is False
    assert refused["error"].startswith(name)


async def test_a_page_of_another_origin_reads_when_it_is_configured(
    apis: Apis, settings: Settings, tmp_path: Path
) -> None:
    """The product's pages come from a port of their own; a browser asks first whether it may send the token."""
    file = tmp_path / "credentials.json"
    token = auth.add_token(file, "page", [Scope.READ], None)
    settings = msgspec.structs.replace(settings, netalertx=NetAlertXSettings(profile="product"))
    pages = "http://127.0.0.1:20211"
    api = await apis.start(settings, auth_file=str(file), origins=pages)
    address = f"{api.base}/sessions/totals?period=1%20day"
    asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with api.http.options(address, headers={"Origin": pages, **asking}) as answer:
        assert answer.status == 204
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()
    for origin, readable in ((pages, True), ("http://127.0.0.1:1", False)):
        async with api.http.get(address, headers={"Origin": origin, "Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 200
            assert (answer.headers.get("Access-Control-Allow-Origin") == origin) is readable
