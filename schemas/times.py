"""Times are integers in every record: microseconds since 1970-01-01T00:00:00 UTC."""

from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

#: Event times outside these bounds are kept in details and replaced by the broker's time (hard-questions: months).
EARLIEST = 0
LATEST = 7_258_118_400 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def parse_time(value: object) -> int:
    """Microseconds UTC of what a sensor wrote: RFC 3339 text, or a number of seconds since 1970.

    Text without a zone is UTC. Raises ValueError when the value is neither.
    """
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MICROSECOND
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected RFC 3339 text or seconds since 1970")
    if not -(10**12) < value < 10**12:
        raise ValueError("seconds since 1970 are out of range")
    return round(value * SECOND)


def to_datetime(micros: int) -> datetime:
    """An aware datetime in UTC, exact to the microsecond."""
    return _EPOCH + timedelta(microseconds=micros)


def from_datetime(moment: datetime) -> int:
    """Microseconds of an aware datetime, exact."""
    return (moment - _EPOCH) // _MICROSECOND


def rfc3339(micros: int) -> str:
    """``2026-11-22T01:04:19.848253Z``; the fraction has always six digits."""
    return to_datetime(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
