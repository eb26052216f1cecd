"""The year of a time that was written without one."""

from datetime import UTC, datetime

from producers.formats.decoded import Decoded
from schemas.times import DAY, from_datetime, to_datetime

#: Flag of an event whose time had no year: the decoder put it into ``WRITTEN_IN``, the reader finds the year.
YEAR_GUESSED = "year_guessed"
#: A year that has a 29th of February.
WRITTEN_IN = 1972
_LEAP_CYCLE = 9


def settle_year(decoded: Decoded, broker_time: int) -> None:
    """The latest year in which the record's day is at most one day after it reached the broker (microseconds UTC)."""
    event, connection = decoded.event, decoded.connection
    written = to_datetime(event.time)
    latest = broker_time + DAY
    for year in range(to_datetime(latest).year, to_datetime(latest).year - _LEAP_CYCLE, -1):
        try:
            moment = datetime(year, *written.timetuple()[1:6], written.microsecond, tzinfo=UTC)
        except ValueError:
            # No 29th of February in that year.
            continue
        time = from_datetime(moment)
        if time <= latest:
            event.time = time
            if connection is not None:
                connection.time = time
                if connection.first_time is not None:
                    connection.first_time = connection.last_time = time
            return
