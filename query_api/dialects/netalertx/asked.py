"""What a query asks for: dates, periods, addresses. The facts are in netalertx-facts 1.4 to 1.8."""

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from query_api.documents import query_pairs
from query_api.errors import BadRequestError
from query_api.filters import Filter
from schemas.records import normal_mac
from schemas.times import EARLIEST, LATEST, from_datetime

#: Days of each unit; months and years as the product counts them.
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
PERIOD = r"[0-9]{1,5} +(day|week|month|year)s?"
_PERIOD = re.compile(PERIOD)
_DAY = timedelta(days=1)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOST_PLUS = re.compile(r"(?<=:[0-9]{2}) (?=[0-9]{2}:[0-9]{2}$)")
_MOMENT_EXPECTED = "a date such as 2025-08-01, or a time such as 2025-08-01T10:00:00"

#: A device's address for comparing; the table has an index on exactly this expression.
NORMAL_MAC = "replaceRegexpAll(lower(mac), '[-:.]', '')"


def given(raw: str) -> Mapping[str, str]:
    """The parameters of a query string; of one that is given twice the first, as the product takes it."""
    found: dict[str, str] = {}
    for name, value in query_pairs(raw):
        found.setdefault(name, value)
    return found


def of_device(mac: str) -> Filter:
    """Sessions of a device, whatever case and separators its address is written with; of any device when empty."""
    wanted = normal_mac(mac.strip())
    if not wanted:
        # As ClickHouse itself writes it: the index is on this.
        return Filter("notEmpty(mac)")
    return Filter(f"{NORMAL_MAC} = {{mac:String}}", {"mac": wanted})


def since(text: str, zone: ZoneInfo, now: datetime) -> int:
    """When a period begins: midnight so many days ago. Microseconds UTC. Raises BadRequestError."""
    if not _PERIOD.fullmatch(text):
        raise BadRequestError("period must be such as 1 day, 7 days, 2 weeks, 1 month or 1 year", field="period")
    number, unit = text.split()
    days = int(number) * _DAYS[unit.removesuffix("s")]
    today = now.astimezone(zone).date()
    # A hundred years ago there was nothing, not even a number for it.
    if days >= (today - date(1971, 1, 1)).days:
        return EARLIEST
    return _micros(datetime.combine(today - timedelta(days=days), time(), zone))


def begins(text: str, zone: ZoneInfo, field: str) -> int:
    """The first moment of a range that starts with this date or time, microseconds UTC. Raises BadRequestError."""
    return _bounded(_moment(text.strip(), zone, field))


def ends(text: str, zone: ZoneInfo, field: str, *, last_day: bool) -> int:
    """The first moment after a range that ends with this date or time; ``last_day``: a date has its whole day in it."""
    moment = _moment(text.strip(), zone, field)
    if not _DATE.fullmatch(text.strip()):
        return _bounded(moment) + 1
    if last_day:
        # The next midnight of the clock on the wall, which may be 23 or 25 hours later.
        moment = datetime.combine(moment.date() + _DAY, time(), zone)
    return _bounded(moment)


def _moment(text: str, zone: ZoneInfo, field: str) -> datetime:
    found = None
    # Python reads other forms, too, such as 20250801: numbers that may be meant as something else.
    if _DATE.match(text):
        with contextlib.suppress(ValueError):
            # A plus sign that was not encoded has become a space.
            found = datetime.fromisoformat(_LOST_PLUS.sub("+", text))
    if found is None or not 1 < found.year < 9999:
        raise BadRequestError(f"{field} must be {_MOMENT_EXPECTED}", field=field)
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _micros(moment: datetime) -> int:
    return from_datetime(moment.astimezone(UTC))


def _bounded(moment: datetime) -> int:
    """Within the times that a session may have: ClickHouse's types reach hardly further."""
    return min(max(_micros(moment), EARLIEST), LATEST)
