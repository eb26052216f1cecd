"""A session in NetAlertX's terms, as SQL: what it knows of both ends, and how they are written."""

from query_api.dialects.netalertx.form import Form
from query_api.filters import Filter

MISSING = "<missing event>"
#: While a session lasts, and where its length is not known.
DOTS = "..."

STILL_CONNECTED = "state = 'open'"
#: No event was seen for the start, or for the end (session-semantics: device pairing).
NO_START = f"(connect_kind = '{MISSING}' OR isNull(started_at))"
NO_END = f"(state != 'open' AND (disconnect_kind = '{MISSING}' OR isNull(ended_at)))"
START = f"if({NO_START}, NULL, started_at)"
END = f"if({NO_END} OR state = 'open', NULL, ended_at)"
#: What lists are ordered by in the product's pages.
ORDER = f"ifNull({START}, {END})"

#: Sessions of sensors that are no NetAlertX have no labels: the document's defaults.
START_KIND = f"multiIf(connect_kind != '', connect_kind, {NO_START}, '{MISSING}', 'Connected')"
END_KIND = (
    f"multiIf(state = 'open', NULL, disconnect_kind != '', disconnect_kind, {NO_END}, '{MISSING}', 'Disconnected')"
)
#: What the opening event said besides: the vendor, for a device that is new.
INFO = "if(attributes['info'] != '', attributes['info'], attributes['vendor'])"
#: The product writes what it is before what it says.
SHOWN_INFO = f"if(lower(connect_kind) = 'new device', concat('New Device:   ', {INFO}), {INFO})"

#: A clock that went back makes no time negative.
SECONDS = f"intDiv(if({END} < {START}, 0, dateDiff('microsecond', {START}, {END})), 1000000)"

#: What has passed by now of what lasts, too.
LIVE_SECONDS = (
    f"if({STILL_CONNECTED}, intDiv(if(now64(6, 'UTC') < {START}, 0, dateDiff('microsecond', {START}, now64(6, 'UTC'))),"
    f" 1000000), {SECONDS})"
)

_SINCE = "fromUnixTimestamp64Micro({since:Int64}, 'UTC')"


def duration(form: Form) -> str:
    """How long it was; while it lasts nobody knows."""
    return f"ifNull({form.lasted(SECONDS)}, '{DOTS}')"


def raw(moment: str, form: Form) -> str:
    """As the product's database has it: ``2025-08-01 10:00:00``."""
    return f"formatDateTime({moment}, '%Y-%m-%d %H:%i:%S', '{form.zone.key}')"


def iso(moment: str, form: Form) -> str:
    """``2025-08-01T10:00:00``, for FullCalendar."""
    return f"formatDateTime({moment}, '%Y-%m-%dT%H:%i:%S', '{form.zone.key}')"


def connection(form: Form, otherwise: str = MISSING) -> str:
    return f"ifNull({form.written(START)}, '{otherwise}')"


def disconnection(form: Form, still: str = DOTS) -> str:
    return f"multiIf(state = 'open', '{still}', {NO_END}, '{MISSING}', {form.written(END)})"


def starting(since: int) -> Filter:
    """Sessions that began since then; ``page_time`` is their start, and has an index."""
    moment = "fromUnixTimestamp64Micro({from:Int64}, 'UTC')"
    return Filter(f"(page_time >= {moment} AND {START} >= {moment})", {"from": since})


def ending(before: int) -> Filter:
    """Sessions that ended before then; ``page_time`` is no later than their end."""
    moment = "fromUnixTimestamp64Micro({before:Int64}, 'UTC')"
    return Filter(f"(page_time < {moment} AND {END} < {moment})", {"before": before})


def touching(since: int) -> Filter:
    """Sessions that began or ended since then, or are still open."""
    where = f"{START} >= {_SINCE} OR {END} >= {_SINCE} OR {STILL_CONNECTED}"
    return Filter(f"({where})", {"since": since})


def half_known(since: int) -> Filter:
    """Sessions of which one end is missing, and the other one is since then."""
    where = f"({NO_START} AND {END} >= {_SINCE}) OR ({NO_END} AND {START} >= {_SINCE})"
    return Filter(f"({where})", {"since": since})
