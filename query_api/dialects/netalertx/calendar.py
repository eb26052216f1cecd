"""Sessions of a range of time, each with what stands next to it on its device's line of time."""

import msgspec

from query_api import sql
from query_api.dialects.netalertx import columns as of
from query_api.dialects.netalertx.asked import NORMAL_MAC
from query_api.filters import Filter
from query_api.shapes import Shape
from query_api.sources import SESSIONS
from query_api.sql import Statement

_FROM = "fromUnixTimestamp64Micro({from:Int64}, 'UTC')"
_BEFORE = "fromUnixTimestamp64Micro({before:Int64}, 'UTC')"


def _micros(moment: str) -> str:
    return f"ifNull(toUnixTimestamp64Micro({moment}), 0)"


def _moment(micros: str) -> str:
    return f"if({micros} = 0, NULL, fromUnixTimestamp64Micro({micros}, 'UTC'))"


_ENDED, _BEGAN = _micros(of.END), _micros(of.START)
_ENDED_BEFORE = (
    f"max({_ENDED}) OVER (PARTITION BY {NORMAL_MAC} ORDER BY {_ENDED}"
    " RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
)
_BEGAN_AFTER = (
    f"min({_BEGAN}) OVER (PARTITION BY {NORMAL_MAC} ORDER BY {_BEGAN}"
    " RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)"
)
_COLUMNS = (
    "sensor, session_id, mac, client_ip, state, connect_kind, disconnect_kind, started_at, ended_at,"
    " coalesce(started_at, ended_at, last_activity_at) AS page_time"
)


def between(start: int, end: int, *, whole: bool) -> Filter:
    """Sessions of a range from ``start`` to before ``end``, and all that are open.

    ``whole``: those, too, that begin before the range and end after it.
    """
    if whole:
        began, ended = f"ifNull({of.START}, {of.END})", f"ifNull({of.END}, {of.START})"
        within = f"{began} < {_BEFORE} AND {ended} >= {_FROM}"
    else:
        within = " OR ".join(f"({each} >= {_FROM} AND {each} < {_BEFORE})" for each in (of.START, of.END))
    return Filter(f"({within} OR {of.STILL_CONNECTED})", {"from": start, "before": end})


def calendar(filter: Filter, shape: Shape) -> Statement:
    """The rows of these sessions, newest first."""
    within = (
        f"SELECT *, {_moment('before_micros')} AS ended_before, {_moment('after_micros')} AS began_after FROM ("  # noqa: S608
        f"SELECT {_COLUMNS}, {_ENDED_BEFORE} AS before_micros, {_BEGAN_AFTER} AS after_micros"
        f" FROM {SESSIONS.rows}{sql.where(SESSIONS, filter)})"
    )
    source = msgspec.structs.replace(SESSIONS, within=within, always="", keys=())
    return sql.of_few(sql.rows(source, Filter(parameters=filter.parameters), shape), SESSIONS, filter)
