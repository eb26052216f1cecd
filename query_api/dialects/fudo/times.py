"""Times as Fudo writes them: ``2022-04-05 16:06:07.313862+02``, the form of PostgreSQL.

A space between date and time, no zeros at the end of the fraction, and the zone in hours where it has no minutes.
"""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from query_api.errors import BadRequestError
from schemas.times import from_datetime

#: ClickHouse's times of six digits end here.
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, tzinfo=UTC)
#: A plus sign that was sent in a query string without being encoded has become a space.
_LOST_PLUS = re.compile(r"(?<=\d) (?=\d{2}(?::?\d{2})?$)")
EXPECTED = "a time such as 2022-04-05 16:06:07.313862+02"


def shown(moment: str, zone: ZoneInfo) -> str:
    """The SQL of a time, NULL or not, as text."""
    text = f"formatDateTime({moment}, '%Y-%m-%d %H:%i:%S.%f%z', '{zone.key}')"
    whole = f"replaceRegexpOne({text}, '\\\\.?0*([+-][0-9]{{2}})([0-9]{{2}})$', '\\\\1:\\\\2')"
    return f"replaceRegexpOne({whole}, ':00$', '')"


def read(text: str, zone: ZoneInfo, field: str) -> int:
    """Microseconds UTC of a time as Fudo or RFC 3339 writes it; one without a zone is in ``zone``.

    Raises BadRequestError that names ``field``.
    """
    try:
        moment = datetime.fromisoformat(_LOST_PLUS.sub("+", text) if text.count(" ") > 1 or "T" in text else text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        if _EARLIEST <= moment <= _LATEST:
            return from_datetime(moment)
    except (ValueError, OverflowError):
        pass
    raise BadRequestError(f"{field} must be {EXPECTED}, from the years 1900 to 2299", field=field)
