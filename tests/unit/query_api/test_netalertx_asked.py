"""Days, midnights and periods where the clocks on the wall change; periods and dates that anybody may send."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.dialects.netalertx.asked import begins, ends, since
from query_api.dialects.netalertx.form import Form
from query_api.errors import BadRequestError
from schemas.times import EARLIEST, LATEST, from_datetime

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600_000_000
#: Where the hour that is left out, or comes twice, is the one after midnight.
AT_MIDNIGHT = ("America/Havana", "Asia/Beirut", "America/Asuncion")


def utc(text: str) -> int:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("day", "hours"), [("2025-03-29", 24), ("2025-03-30", 23), ("2025-10-25", 24), ("2025-10-26", 25)]
)
def test_a_day_is_from_midnight_to_midnight_however_long(day: str, hours: int) -> None:
    assert ends(day, BERLIN, "end", last_day=True) - begins(day, BERLIN, "start") == hours * HOUR


def test_a_day_of_the_products_ends_where_it_begins() -> None:
    assert ends("2025-10-26", BERLIN, "end", last_day=False) == begins("2025-10-26", BERLIN, "start")


@pytest.mark.parametrize(
    ("now", "period", "began"),
    [
        # Twenty-five and twenty-three hours ago it was the same time of day.
        ("2025-10-26T22:30:00", "1 day", "2025-10-24T22:00:00"),
        ("2025-10-26T23:30:00", "1 day", "2025-10-25T22:00:00"),
        ("2025-03-30T21:30:00", "1 day", "2025-03-28T23:00:00"),
        ("2025-03-30T22:30:00", "1 day", "2025-03-29T23:00:00"),
        ("2025-04-02T10:00:00", "1 week", "2025-03-25T23:00:00"),
        ("2025-04-02T10:00:00", "0 days", "2025-04-01T22:00:00"),
    ],
)
def test_a_period_begins_at_a_midnight_of_the_wall(now: str, period: str, began: str) -> None:
    assert since(period, BERLIN, datetime.fromisoformat(now).replace(tzinfo=UTC)) == utc(began)


def test_a_time_that_comes_twice_is_the_first_one_unless_it_says_which() -> None:
    assert begins("2025-10-26T02:30:00", BERLIN, "start") == utc("2025-10-26T00:30:00")
    assert begins("2025-10-26T02:30:00+01:00", BERLIN, "start") == utc("2025-10-26T01:30:00")
    # And a plus sign that was not encoded is a space by now.
    assert begins("2025-10-26T02:30:00 01:00", BERLIN, "start") == utc("2025-10-26T01:30:00")


@given(
    st.sampled_from([*AT_MIDNIGHT, "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]),
    st.dates(datetime(1975, 1, 1).date(), datetime(2099, 1, 1).date()),
)
def test_days_of_any_zone_follow_each_other_without_a_gap(name: str, day: object) -> None:
    zone, first = ZoneInfo(name), datetime.fromisoformat(str(day))
    following = (first + timedelta(days=1)).date().isoformat()
    begin, end = begins(str(day), zone, "start"), ends(str(day), zone, "end", last_day=True)
    assert begin <= end == begins(following, zone, "start")
    assert end - begin <= 26 * HOUR


@given(st.text(max_size=40))
def test_any_text_is_a_period_and_a_date_or_refused_by_name(text: str) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    readers: dict[str, Callable[[], int]] = {
        "period": lambda: since(text, BERLIN, now),
        "start": lambda: begins(text, BERLIN, "start"),
        "end": lambda: ends(text, BERLIN, "end", last_day=True),
    }
    for field, read in readers.items():
        try:
            assert EARLIEST <= read() <= LATEST + 1
        except BadRequestError as error:
            assert error.field == field
    # The product takes any text for a day.
    assert Form(BERLIN, product=True).since(text, now) <= from_datetime(now)
