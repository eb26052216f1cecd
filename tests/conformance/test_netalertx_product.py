"""NetAlertX's API in the product's own form: setting netalertx.profile (netalertx-facts 1.4 to 1.9)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.settings import Settings
from tests.conformance.conftest import Apis
from tests.conformance.netalertx import NetAlertX, a_mac, started, stored
from tests.conformance.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
async def asked(apis: Apis, settings: Settings, tmp_path: Path, sensor: str) -> NetAlertX:
    file = tmp_path / "credentials.json"
    return await started(apis, settings, file, sensor, timezone="Europe/Berlin", profile="product")


async def test_times_are_utc_and_durations_have_days(asked: NetAlertX, store: Store, sensor: str) -> None:
    mac = a_mac()
    stored(store, sensor, mac, ("2025-03-29T23:00:00", "2025-04-01T04:05:59"))
    (listed,) = await asked.sessions("/sessions/list", mac=mac)
    assert listed["ses_Connection"] == "2025-03-29T23:00:00+00:00"
    assert listed["ses_Disconnection"] == "2025-04-01T04:05:59+00:00"
    assert listed["ses_Duration"] == "2d 05:05"
    assert listed["ses_DateTimeConnection"] == "2025-03-30 00:00:00"
    (drawn,) = await asked.sessions("/sessions/calendar", start="2025-03-30", end="2025-03-31")
    assert (drawn["start"], drawn["end"], drawn["color"]) == ("2025-03-30T00:00:00", "2025-04-01T06:05:59", "#0073b7")
    assert drawn["tooltip"].startswith(
        "Connection: 2025-03-29T23:00:00+00:00\nDisconnection: 2025-04-01T04:05:59+00:00\n"
    )


async def test_the_last_day_of_a_range_is_left_out_and_so_is_what_lasts_longer(
    asked: NetAlertX, store: Store, sensor: str
) -> None:
    mac = a_mac()
    stored(store, sensor, mac, ("2025-08-01T10:00:00", "2025-08-03T12:00:00"))
    for end, found in (("2025-08-03", 0), ("2025-08-04", 1), ("2025-08-03T14:00:00", 1), ("2025-08-03T13:59:59", 0)):
        assert len(await asked.sessions("/sessions/list", mac=mac, end_date=end)) == found
    ranges = (("07-30", "08-01", 0), ("08-01", "08-02", 1), ("08-02", "08-03", 0), ("08-03", "08-04", 1))
    for start, end, found in ranges:
        drawn = await asked.sessions("/sessions/calendar", start=f"2025-{start}", end=f"2025-{end}")
        assert len(drawn) == found


async def test_what_lasts_has_a_duration_beside_events_alone(asked: NetAlertX, store: Store, sensor: str) -> None:
    mac, began = a_mac(), datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=25)
    stored(store, sensor, mac, (began.isoformat(), None))
    (found,) = await asked.sessions(f"/sessions/{mac}")
    assert (found["ses_Disconnection"], found["ses_Duration"]) == ("...", "...")
    (row,) = (await asked.get("/sessions/session-events", type="sessions"))["data"]
    assert row[6] == "..."
    assert row[7].startswith("1d 01:")
    assert 25 * 3600 <= row[8] < 26 * 3600
    (drawn,) = await asked.sessions("/sessions/calendar", start="2025-08-01", end="2025-08-02")
    assert drawn["color"] == "#00a659"


async def test_periods_are_four_and_whatever_else_is_a_day(asked: NetAlertX, store: Store, sensor: str) -> None:
    mac = a_mac()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    starts = [midnight - timedelta(days=days) for days in (1, 7, 30, 365, 3650, 3651)]
    stored(store, sensor, mac, *((start.isoformat(), (start + timedelta(minutes=1)).isoformat()) for start in starts))
    for period, found in (("7 days", 2), ("1 month", 3), ("1 year", 4), ("100 years", 5), ("2 weeks", 1), ("bogus", 1)):
        assert len(await asked.sessions(f"/sessions/{mac}", period=period)) == found
    assert len(await asked.sessions(f"/sessions/{mac}")) == 1
