"""A restriction to sensors, as ClickHouse gets it and as we decide ourselves."""

import pytest

from query_api.auth.sensors import InvalidSensorsError, checked_sensors, sees, table_filters


@pytest.mark.parametrize(
    ("pattern", "sensor", "seen"),
    [
        (None, "anything", True),
        ("lab-1", "lab-1", True),
        ("lab-1", "lab-10", False),
        ("lab-1", "my-lab-1", False),
        ("lab-.*", "lab-", True),
        ("a|b", "ab", False),
        ("a|b", "b", True),
        ("a.b", "a\nb", True),
        ("(?i)LAB", "lab", True),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_the_whole_name_must_match(pattern: str | None, sensor: str, seen: bool) -> None:
    assert sees(pattern, sensor) is seen


@pytest.mark.parametrize("pattern", ["(", ")", "a)(b", "(?=x)", "\\1", "x{1001}", "a" * 1025, ")|(x"])
def test_what_re2_does_not_take_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidSensorsError):
        checked_sensors(pattern)


def test_quotes_and_backslashes_stay_inside_the_literal() -> None:
    filters = table_filters(r"o'r\d", "db")
    assert r"'db.events': 'match(sensor, \'^o\\\'r\\\\d$\')'" in filters
