"""Times as clients of SPS send them: ISO 8601, from a date alone to seven digits of a second, any zone."""

import re
from datetime import UTC, datetime, timedelta

from query_api.errors import BadRequestError

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?"
    # A plus that was not percent-encoded arrives as a space.
    r"(?:(Z)|([+\- ])(\d\d):?(\d\d))?",
    re.ASCII | re.IGNORECASE,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Years that the table can hold.
_YEARS = range(1900, 2300)


def micros(text: str, name: str) -> int:
    """Microseconds since 1970 UTC; a time without zone is UTC. Raises BadRequestError that names the parameter."""
    found = _ISO.fullmatch(text)
    if found is None:
        raise _unfit(name)
    year, month, day, hour, minute, second = (int(part or 0) for part in found.group(1, 2, 3, 4, 5, 6))
    fraction = int((found[7] or "").ljust(6, "0")[:6])
    if year not in _YEARS:
        raise _unfit(name)
    try:
        moment = datetime(year, month, day, hour, minute, second, fraction, tzinfo=UTC)
    except ValueError:
        raise _unfit(name) from None
    offset = timedelta(hours=int(found[10] or 0), minutes=int(found[11] or 0))
    if offset >= timedelta(days=1):
        raise _unfit(name)
    offset = -offset if found[9] == "-" else offset
    return (moment - _EPOCH - offset) // timedelta(microseconds=1)


def _unfit(name: str) -> BadRequestError:
    return BadRequestError(
        f"{name} must be an ISO 8601 time such as 2017-01-25T10:00 or 2017-01-25T10:00:00+01:00", field=name
    )
