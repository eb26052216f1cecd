"""How times and durations are written, and where ranges end: as the document says, or as the product does.

The setting netalertx.profile chooses (netalertx-facts 1.8, 1.9).
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from query_api.dialects.netalertx import asked
from schemas.settings import NetAlertX
from schemas.times import from_datetime

#: What the product knows of periods; whatever else is one day.
_PRODUCT_DAYS = {"7 days": 7, "1 month": 30, "1 year": 365, "100 years": 3650}


class Form(msgspec.Struct, frozen=True):
    zone: ZoneInfo
    product: bool = False

    def written(self, moment: str) -> str:
        """``2025-08-01 10:00``; the product: ``2025-08-01T08:00:00+00:00``. NULL for no time.

        UTC, because its pages show the zone of the reader, and older ones cut the offset off unread.
        """
        if self.product:
            return f"formatDateTime({moment}, '%Y-%m-%dT%H:%i:%S+00:00', 'UTC')"
        return f"formatDateTime({moment}, '%Y-%m-%d %H:%i', '{self.zone.key}')"

    def lasted(self, seconds: str) -> str:
        """``49h 5m``; the product: ``2d 01:05``. Minutes are floored; NULL for NULL."""
        minutes = f"intDiv({seconds}, 60)"
        hours = f"intDiv({minutes}, 60)"
        if self.product:
            clock = f"leftPad(toString({hours} % 24), 2, '0'), ':', leftPad(toString({minutes} % 60), 2, '0')"
            return f"concat(toString(intDiv({hours}, 24)), 'd ', {clock})"
        return f"concat(toString({hours}), 'h ', toString({minutes} % 60), 'm')"

    @property
    def closed_color(self) -> str:
        return "#0073b7" if self.product else "#00a659"

    def since(self, period: str, now: datetime) -> int:
        """When a period begins, microseconds UTC. Raises BadRequestError in the document's form."""
        if not self.product:
            return asked.since(period, self.zone, now)
        # The database's date('now'), which is in UTC.
        day: date = now.astimezone(UTC).date() - timedelta(days=_PRODUCT_DAYS.get(period, 1))
        return from_datetime(datetime.combine(day, time(), UTC))

    def ends(self, text: str, field: str) -> int:
        """The first moment after a range, microseconds UTC; the product leaves the last day out."""
        return asked.ends(text, self.zone, field, last_day=not self.product)


def form_of(settings: NetAlertX) -> Form:
    """The zone was checked when the settings were loaded."""
    return Form(ZoneInfo(settings.timezone), settings.profile == "product")
