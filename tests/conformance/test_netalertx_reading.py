"""NetAlertX's API, reading: sentence by sentence of its document and of the facts beside it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.settings import Settings
from tests.conformance.conftest import Apis
from tests.conformance.netalertx import NetAlertX, a_mac, said, started, stored
from tests.conformance.store import Store, moment

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0, tzinfo=None)


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "credentials.json"


@pytest.fixture
async def asked(apis: Apis, settings: Settings, file: Path, sensor: str) -> NetAlertX:
    return await started(apis, settings, file, sensor)


#: The document's example of a session, as Sojourn stores it.
EXAMPLE = ("2025-08-01T10:00:00", "2025-08-01T12:00:00")
DOCUMENTED = {
    "ses_Connection": "2025-08-01 10:00",
    "ses_Disconnection": "2025-08-01 12:00",
    "ses_Duration": "2h 0m",
    "ses_IP": "192.168.1.10",
    "ses_Info": "",
}


async def test_the_list_of_the_document_with_the_columns_of_the_product_beside_it(
    asked: NetAlertX, store: Store, sensor: str
) -> None:
    mac = a_mac()
    stored(store, sensor, mac, EXAMPLE)
    found = await asked.sessions("/sessions/list", mac=mac, start_date="2025-08-01", end_date="2025-08-21")
    assert found == [
        {
            "ses_MAC": mac,
            **DOCUMENTED,
            "ses_AdditionalInfo": None,
            "ses_DateTimeConnection": "2025-08-01 10:00:00",
            "ses_DateTimeDisconnection": "2025-08-01 12:00:00",
            "ses_EventTypeConnection": "Connected",
            "ses_EventTypeDisconnection": "Disconnected",
            "ses_StillConnected": 0,
        }
    ]


async def test_sessions_of_a_device_as_the_document_and_the_product_page_have_them(
    asked: NetAlertX, store: Store, sensor: str
) -> None:
    mac = a_mac()
    stored(store, sensor, mac, (ago(hours=4), ago(hours=2)))
    (found,) = await asked.sessions(f"/sessions/{mac}", period="7 days")
    began, ended = (NOW - timedelta(hours=hours) for hours in (4, 2))
    assert found == {
        **DOCUMENTED,
        "ses_MAC": mac,
        "ses_Connection": f"{began:%Y-%m-%d %H:%M}",
        "ses_Disconnection": f"{ended:%Y-%m-%d %H:%M}",
        "ses_DateTimeOrder": f"{began:%Y-%m-%d %H:%M:%S}",
    }


async def test_the_calendar_of_the_document(asked: NetAlertX, store: Store, sensor: str) -> None:
    mac = a_mac()
    stored(store, sensor, mac, EXAMPLE)
    assert await asked.sessions("/sessions/calendar", start="2025-08-01", end="2025-08-21") == [
        {
            "resourceId": mac,
            "title": "",
            "start": "2025-08-01T10:00:00",
            "end": "2025-08-01T12:00:00",
            "color": "#00a659",
            "tooltip": "Connection: 2025-08-01 10:00\nDisconnection: 2025-08-01 12:00\nIP: 192.168.1.10",
            "className": "no-border",
        }
    ]


async def test_addresses_compare_without_case_and_separators_and_are_shown_as_stored(
    asked: NetAlertX, store: Store, sensor: str
) -> None:
    mac = a_mac()
    stored(store, sensor, mac, (ago(hours=4), ago(hours=2)))
    stored(store, sensor, a_mac(), (ago(hours=4), ago(hours=2)))
    today = f"{NOW:%Y-%m-%d}"
    for other in (mac, mac.lower(), mac.replace(":", "-"), mac.lower().replace(":", "")):
        for path, name in (("/sessions/list", "ses_MAC"), ("/sessions/calendar", "resourceId")):
            found = await asked.sessions(path, mac=other, start=ago(days=1), end=today)
            assert [one[name] for one in found] == [mac]
        assert [one["ses_MAC"] for one in await asked.sessions(f"/sessions/{other}")] == [mac]
    assert len(await asked.sessions("/sessions/list", mac="")) == 2


async def test_what_has_no_address_is_no_session_of_netalertx(asked: NetAlertX, store: Store, sensor: str) -> None:
    stored(store, sensor, "", EXAMPLE)
    assert await asked.sessions("/sessions/list") == []
    assert await asked.sessions("/sessions/calendar", start="2025-08-01", end="2025-08-01") == []
    assert await asked.sessions("/sessions/nonsense") == []


async def test_days_of_a_range_are_whole_days_the_last_one_too(asked: NetAlertX, store: Store, sensor: str) -> None:
    mac = a_mac()
    stored(store, sensor, mac, EXAMPLE)

    async def listed(**params: str) -> int:
        return len(await asked.sessions("/sessions/list", mac=mac, **params))

    assert await listed(end_date="2025-08-01") == 1
    assert await listed(start_date="2025-08-01", end_date="2025-08-01") == 1
    assert await listed(end_date="2025-07-31") == 0
    assert await listed(start_date="2025-08-02") == 0
    # A time is taken to the moment.
    assert await listed(end_date="2025-08-01T12:00:00") == 1
    assert await listed(end_date="2025-08-01T11:59:59Z") == 0
    assert await listed(end_date="2025-08-01T13:59:59+02:00") == 0
    assert await listed(start_date="2025-08-01 10:00:01") == 0
    for start, end, found in (
        ("07-01", "07-31", 0),
        ("07-01", "08-01", 1),
        ("08-01", "08-01", 1),
        ("08-02", "08-03", 0),
    ):
        assert len(await asked.sessions("/sessions/calendar", start=f"2025-{start}", end=f"2025-{end}")) == found


async def test_what_lasts_has_not_ended_by_any_date_and_is_in_every_calendar(
    asked: NetAlertX, store: Store, sensor: str
) -> None:
    mac = a_mac()
    stored(store, sensor, mac, (ago(days=3), None))
    assert await asked.sessions("/sessions/list", mac=mac, end_date=ago(days=-1)) == []
    (listed,) = await asked.sessions("/sessions/list", mac=mac)
    assert (listed["ses_Disconnection"], listed["ses_Duration"], listed["ses_StillConnected"]) == ("...", "...", 1)
    assert listed["ses_DateTimeDisconnection"] is None
    assert listed["ses_EventTypeDisconnection"] is None
    (found,) = await asked.sessions("/sessions/calendar", start="2025-08-01", end="2025-08-02")
    # It ends now, so that FullCalendar draws it until here.
    assert (
        timedelta()
        <= datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(found["end"])
        < timedelta(minutes=5)
    )
    assert found["color"] == "#00a659"
    assert found["tooltip"].splitlines()[1] == "Disconnection: <still connected>"
    assert len(await asked.sessions(f"/sessions/{mac}")) == 1


async def test_a_session_longer_than_the_range_is_in_the_calendar(asked: NetAlertX, store: Store, sensor: str) -> None:
    stored(store, sensor, a_mac(), ("2025-07-01T00:00:00", "2025-09-01T00:00:00"))
    assert len(await asked.sessions("/sessions/calendar", start="2025-08-01", end="2025-08-01")) == 1


async def test_ends_that_nobody_saw_are_said_so_and_drawn_up_to_their_neighbours(
    asked: NetAlertX, store: Store, sensor: str
) -> None:
    """C08 D09, D11 alone, C12 and C13 D14: netalertx-facts 1.5."""
    mac = a_mac()
    day = "2025-08-01T"
    stored(store, sensor, mac, (f"{day}08:00:00", f"{day}09:00:00"), (None, f"{day}11:00:00"))
    stored(store, sensor, mac, (f"{day}12:00:00", "?"), (f"{day}13:00:00", f"{day}14:00:00"))
    other = a_mac()
    stored(store, sensor, other, (None, f"{day}10:00:00"), (f"{day}10:00:00", "?"))
    drawn = [
        (one["start"][11:16], one["end"] and one["end"][11:16], one["color"])
        for one in await asked.sessions("/sessions/calendar", start="2025-08-01", end="2025-08-01", mac=mac)
    ]
    orange, green = "#f39c12", "#00a659"
    assert drawn == [
        ("13:00", "14:00", green),
        ("12:00", "13:00", orange),
        ("09:00", "11:00", orange),
        ("08:00", "09:00", green),
    ]
    alone = await asked.sessions("/sessions/calendar", start="2025-08-01", end="2025-08-01", mac=other)
    assert sorted((one["start"], one["end"]) for one in alone) == [
        (f"{day}09:00:00", f"{day}10:00:00"),
        (f"{day}10:00:00", None),
    ]
    assert {one["tooltip"].count("<missing event>") for one in alone} == {1}
    listed = await asked.sessions("/sessions/list", mac=mac)
    shown = [(one["ses_Connection"][-5:], one["ses_Disconnection"][-5:], one["ses_Duration"]) for one in listed]
    assert shown == [
        ("13:00", "14:00", "1h 0m"),
        ("12:00", "vent>", "..."),
        ("vent>", "11:00", "..."),
        ("08:00", "09:00", "1h 0m"),
    ]
    assert listed[1]["ses_EventTypeDisconnection"] == listed[2]["ses_EventTypeConnection"] == "<missing event>"
    assert listed[1]["ses_DateTimeDisconnection"] is listed[2]["ses_DateTimeConnection"] is None


@pytest.mark.parametrize(
    ("end", "duration"),
    [
        ("2025-08-01T10:00:59.999999", "0h 0m"),
        ("2025-08-01T11:05:59", "1h 5m"),
        ("2025-08-03T11:05:00", "49h 5m"),
        ("2025-12-01T10:00:00", "2928h 0m"),
    ],
)
async def test_hours_of_a_duration_are_unbounded_and_minutes_floored(
    asked: NetAlertX, store: Store, sensor: str, end: str, duration: str
) -> None:
    stored(store, sensor, a_mac(), ("2025-08-01T10:00:00", end))
    (found,) = await asked.sessions("/sessions/list")
    assert found["ses_Duration"] == duration


@pytest.mark.parametrize(
    ("zone", "start", "end", "shown", "duration"),
    [
        # An hour that the clock on the wall leaves out, and one that it has twice.
        (
            "Europe/Berlin",
            "2025-03-29T23:00:00",
            "2025-03-30T04:00:00",
            ("2025-03-30 00:00", "2025-03-30 06:00"),
            "5h 0m",
        ),
        (
            "Europe/Berlin",
            "2025-10-25T22:00:00",
            "2025-10-26T05:00:00",
            ("2025-10-26 00:00", "2025-10-26 06:00"),
            "7h 0m",
        ),
        (
            "Asia/Kolkata",
            "2025-08-01T10:00:00",
            "2025-08-01T12:00:00",
            ("2025-08-01 15:30", "2025-08-01 17:30"),
            "2h 0m",
        ),
    ],
)
async def test_times_and_days_are_those_of_the_zone_and_durations_real_ones(
    apis: Apis, settings: Settings, file: Path, store: Store, sensor: str, zone: str, start: str, end: str,
    shown: tuple[str, str], duration: str,
) -> None:  # fmt: skip
    asked = await started(apis, settings, file, sensor, timezone=zone)
    stored(store, sensor, a_mac(), (start, end))
    day = shown[0][:10]
    (found,) = await asked.sessions("/sessions/list", start_date=day, end_date=day)
    assert (found["ses_Connection"], found["ses_Disconnection"]) == shown
    assert found["ses_Duration"] == duration
    (drawn,) = await asked.sessions("/sessions/calendar", start=day, end=day)
    assert (drawn["start"], drawn["end"]) == tuple(text.replace(" ", "T") + ":00" for text in shown)
    before = (datetime.fromisoformat(day) - timedelta(days=1)).date().isoformat()
    assert await asked.sessions("/sessions/list", end_date=before) == []
    assert await asked.sessions("/sessions/calendar", start=before, end=before) == []


@pytest.mark.parametrize(
    ("period", "found"),
    [
        ("", 1),
        ("1 day", 1),
        ("2 days", 2),
        ("1 week", 3),
        ("7 days", 3),
        ("1 month", 4),
        ("1 year", 5),
        ("100 years", 6),
    ],
)
async def test_a_period_begins_at_the_midnight_so_many_days_ago(
    asked: NetAlertX, store: Store, sensor: str, period: str, found: int
) -> None:
    mac = a_mac()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    starts = [midnight - timedelta(days=days) for days in (1, 2, 7, 30, 365, 3_000)]
    stored(store, sensor, mac, *((start.isoformat(), (start + timedelta(minutes=1)).isoformat()) for start in starts))
    stored(store, sensor, mac, ((starts[0] - timedelta(days=9000)).isoformat(), "?"))
    params = {"period": period} if period else {}
    expected = found + (period == "100 years")
    assert len(await asked.sessions(f"/sessions/{mac}", **params)) == expected
    assert (
        len((await asked.get("/sessions/session-events", type="sessions", period=period or "1 day"))["data"])
        == expected
    )


@pytest.mark.parametrize("path", ["/sessions/aa:bb:cc:dd:ee:ff", "/sessions/session-events", "/sessions/totals"])
async def test_any_other_period_is_refused(asked: NetAlertX, path: str) -> None:
    for period in ("", "bogus", "1", "day", "-1 days", "1.5 days", "1 eon", "999999 days", "1 day; x"):
        assert await asked.get(path, 400, period=period) == {
            "success": False,
            "error": "period must be such as 1 day, 7 days, 2 weeks, 1 month or 1 year",
        }


async def test_a_calendar_needs_both_dates(asked: NetAlertX) -> None:
    for params in ({}, {"start": "2025-08-01"}, {"end": "2025-08-01"}, {"start": "", "end": "2025-08-01"}):
        refused = await asked.ask("GET", "/sessions/calendar", status=400, params=params)
        assert refused == {"success": False, "error": "Missing start or end date"}


async def test_a_date_that_is_none_is_refused_by_name(asked: NetAlertX) -> None:
    places: list[tuple[str, str, dict[str, str]]] = [
        ("/sessions/list", "start_date", {}),
        ("/sessions/list", "end_date", {}),
        ("/sessions/calendar", "start", {"end": "2025-08-01"}),
        ("/sessions/calendar", "end", {"start": "2025-08-01"}),
    ]
    for path, name, rest in places:
        for text in ("yesterday", "2025-13-01", "2025-02-30", "0001-01-01", "9999-12-31", "17540424", "²"):
            refused = await asked.ask("GET", path, status=400, params={name: text, **rest})
            assert refused["success"] is False
            assert refused["error"].startswith(f"{name} must be a date such as 2025-08-01")


async def test_any_date_there_can_be_is_answered(asked: NetAlertX) -> None:
    for text in ("1900-01-01", "2199-12-31", "2300-01-01", "9000-01-01T00:00:00-12:00"):
        assert await asked.sessions("/sessions/list", start_date=text, end_date=text) == []
        assert await asked.sessions("/sessions/calendar", start=text, end=text) == []


async def test_words_of_paths_are_no_addresses(asked: NetAlertX) -> None:
    assert (await asked.get("/sessions/", 404))["error"] == "API route not found"
    assert await asked.get("/sessions/x/y", 404) == {
        "success": False,
        "error": "API route not found",
        "message": "The requested URL /sessions/x/y was not found on the server.",
    }
    for word in ("list", "calendar", "totals", "session-events"):
        refused = await asked.ask("POST", f"/sessions/{word}", {}, 405)
        assert refused["error"] == "Method Not Allowed"


async def test_a_new_device_says_what_it_is(asked: NetAlertX, store: Store, sensor: str) -> None:
    stored(store, sensor, a_mac(), EXAMPLE, connect_kind="New Device", attributes={"info": "ACME"})
    (found,) = await asked.sessions("/sessions/list")
    assert found["ses_Info"] == "New Device:   ACME"
    assert found["ses_AdditionalInfo"] == "ACME"


EVENTS: list[dict[str, Any]] = [
    {"kind": "device.new", "data": "New Device", "content": "ACME", "client_ip": "192.168.1.10"},
    {"kind": "device.up", "data": "Connected", "client_ip": "fe80::1"},
    {"kind": "device.down", "data": "Device Down", "details": '{"eve_PendingAlertEmail":1}'},
    {"kind": "device.voided", "data": "VOIDED - Connected"},
    {"kind": "device.ip", "data": "IP Changed", "content": "Previous IP: 192.168.1.9", "client_ip": "192.168.1.11"},
    {"kind": "other", "data": "Manual", "details": '{"eve_EventType":"Manual"}'},
]


def some_events(store: Store, sensor: str, mac: str) -> None:
    """One of each, an hour apart, the first one the newest; and what is none of NetAlertX's."""
    rows = [
        {"sensor": sensor, "mac": mac, "time": moment(ago(hours=hours)), "record_id": f"{sensor}-{hours}", **event}
        for hours, event in enumerate(EVENTS)
    ]
    stranger = {"sensor": sensor, "time": moment(ago(hours=1)), "kind": "connect"}
    store.events([*rows, stranger, {**stranger, "mac": mac, "kind": "other", "category": "device"}])


async def test_events_are_rows_of_fifteen_columns(asked: NetAlertX, store: Store, sensor: str) -> None:
    mac = a_mac()
    some_events(store, sensor, mac)
    found = await asked.get("/sessions/session-events", type="all", period="7 days")
    assert set(found) == {"data"}
    rows = found["data"]
    assert [row[4] for row in rows] == [event["data"] for event in EVENTS]
    assert rows[0] == [
        *(f"{NOW:%Y-%m-%d %H:%M:%S}", mac, "", f"{NOW:%Y-%m-%d %H:%M}", "New Device"),
        *(None, None, None, None, "192.168.1.10", 3232235786, "ACME", None, mac, 0),
    ]
    assert rows[1][9:11] == ["fe80::1", 338288524927261089654018896841347694593]
    assert rows[2][10] == -1
    assert [row[14] for row in rows] == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("asked_type", "shown"),
    [("voided", ["VOIDED - Connected"]), ("new", ["New Device"]), ("down", ["Device Down"]), ("nonsense", [])],
)
async def test_events_of_a_type(asked: NetAlertX, store: Store, sensor: str, asked_type: str, shown: list[str]) -> None:
    some_events(store, sensor, a_mac())
    found = await asked.get("/sessions/session-events", type=asked_type)
    assert [row[4] for row in found["data"]] == shown


async def test_sessions_beside_events_and_how_many_there_are(asked: NetAlertX, store: Store, sensor: str) -> None:
    mac, ended = a_mac(), NOW - timedelta(hours=1)
    began = ended - timedelta(minutes=90)
    stored(store, sensor, mac, (began.isoformat(), ended.isoformat()), attributes={"info": "i"})
    said(store, sensor, mac.lower(), ago(hours=9), name="printer", owner="Ada")
    stored(store, sensor, mac, (ago(hours=5), None), (ago(hours=6), "?"), (None, ago(hours=7)))
    some_events(store, sensor, mac)
    rows = (await asked.get("/sessions/session-events", type="sessions"))["data"]
    assert rows[0] == [
        *(f"{began:%Y-%m-%d %H:%M:%S}", "printer", "Ada", None, None, f"{began:%Y-%m-%d %H:%M}"),
        *(f"{ended:%Y-%m-%d %H:%M}", "1h 30m", 5400, "192.168.1.10", 3232235786, "i", 0, mac, 0),
    ]
    assert {len(row) for row in rows} == {15}
    assert {row[1] for row in rows} == {"printer"}
    assert {row[1] for row in (await asked.get("/sessions/session-events"))["data"]} == {"printer"}
    assert [row[6] for row in rows[1:3]] == ["...", "<missing event>"]
    assert rows[3][5] == "<missing event>"
    assert [(row[7], row[8], row[12]) for row in rows[1:]] == [("...", 0, 1), ("...", 0, 0), ("...", 0, 0)]
    missing = (await asked.get("/sessions/session-events", type="missing"))["data"]
    assert missing == rows[2:]
    assert await asked.get("/sessions/totals") == [6, 4, 2, 1, 1, 1]
    assert await asked.get("/sessions/totals", period="1 day") == [6, 4, 2, 1, 1, 1]


async def test_a_token_in_the_query_or_as_bearer_and_else_403(apis: Apis, settings: Settings, file: Path) -> None:
    asked = await started(apis, settings, file, "nobody")
    forbidden = {"success": False, "error": "Forbidden", "message": "ERROR: Not authorized"}
    for path in ("list", "calendar", "session-events", "totals", "aa:bb:cc:dd:ee:ff"):
        assert (
            await asked.ask("GET", f"/sessions/{path}", status=403, headers={"Authorization": "bearer x"}) == forbidden
        )


async def test_what_may_be_done_somewhere_is_told_to_anybody(asked: NetAlertX) -> None:
    places = {"create": "OPTIONS, POST", "delete": "DELETE, OPTIONS", "list": "GET, OPTIONS", "x": "GET, OPTIONS"}
    for path, methods in places.items():
        async with asked.api.http.options(f"{asked.api.base}/sessions/{path}") as answer:
            assert (answer.status, answer.headers["Allow"], await answer.read()) == (200, methods, b"")
    assert (await asked.ask("OPTIONS", "/sessions/x/y", status=404))["error"] == "API route not found"
