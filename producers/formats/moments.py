"""A time in JSON: RFC 3339 text or a number of seconds since 1970, as msgspec hands it over."""

from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: How a struct that is decoded from a sensor's JSON types its times. Text becomes a datetime at C speed; what that
#: parser refuses (a date alone, say) the slow path reads with ``schemas.times.parse_time``.
Moment = datetime | int | float

#: What to answer when a time is none.
EXPECTED = "RFC 3339 text or seconds since 1970"


def micros_of(moment: Moment) -> int:
    """Microseconds UTC; text without a zone was UTC. Raises ValueError for seconds no calendar knows."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if not -(10**12) < moment < 10**12:
        raise ValueError(EXPECTED)
    return round(moment * 1_000_000)
