"""Events and sessions in the members of Honeytrap's document, in its order and with its dates."""

from query_api.filters import EVERYTHING, Filter, Names, one_of, one_of_texts
from query_api.shapes import Member, Shape, address, json_object
from schemas.kinds import CODES, SESSION_CLOSED_CODE, SESSION_OPEN_CODE

#: A session's code says whether it is open; the other states that will exist are closed ones.
_SESSION_TYPE = f"if(state = 'open', {SESSION_OPEN_CODE}, {SESSION_CLOSED_CODE})"

#: Honeytrap's category is the protocol (hard-questions: whose path is it); sensors that know none have groups.
_CATEGORY = "if(protocol = '', category, protocol)"


def event_codes(codes: tuple[int, ...], names: Names) -> Filter:
    return one_of("type", codes, names)


def kinds_of_codes(codes: tuple[int, ...], names: Names) -> Filter:
    """About the same as ``event_codes``, by kind: for counts that are kept by kind. Code 0 may be any kind."""
    if 0 in codes:
        return EVERYTHING
    return one_of_texts("kind", [kind for kind, code in CODES.items() if code in codes], names)


def session_codes(codes: tuple[int, ...], names: Names) -> Filter:
    return one_of(_SESSION_TYPE, codes, names)


def event_shape(rfc3339: bool) -> Shape:
    """Members of one event; ``details`` is the JSON object that was stored."""
    return _shape(
        type="type",
        date=_date("time", rfc3339),
        started=moment("coalesce(started, time)", rfc3339),
        ended=moment("ended", rfc3339),
        category=_CATEGORY,
        data="data",
        details=json_object("details"),
    )


def session_shape(rfc3339: bool) -> Shape:
    """Members of one session; ``details`` has what Honeytrap has no member for."""
    return _shape(
        type=_SESSION_TYPE,
        date=_date("page_time", rfc3339),
        started=moment("started_at", rfc3339),
        ended=moment("ended_at", rfc3339),
        category=_CATEGORY,
        data="''",
        details=_session_details(rfc3339),
    )


def _session_details(rfc3339: bool) -> str:
    fields = {
        "protocol": ("protocol", "String"),
        "user": ("user", "String"),
        "event_count": ("event_count", "UInt64"),
        "state": ("state", "String"),
        "duration": ("duration", "Nullable(Float64)"),
        "duration_quality": ("duration_quality", "String"),
        "end_reason": ("end_reason", "String"),
        "last_activity": (moment("last_activity_at", rfc3339), "String"),
        "version": ("version", "UInt64"),
        "mac": ("mac", "String"),
        "client_name": ("client_name", "String"),
        "server_name": ("server_name", "String"),
        "user_id": ("user_id", "String"),
        "server_user": ("server_user", "String"),
        "connect_kind": ("connect_kind", "String"),
        "disconnect_kind": ("disconnect_kind", "String"),
        "flags": ("flags", "Array(String)"),
        "attributes": ("attributes", "Map(String, String)"),
    }
    values = ", ".join(expression for expression, _ in fields.values())
    types = ", ".join(f"`{name}` {kind}" for name, (_, kind) in fields.items())
    return f"toJSONString(CAST(tuple({values}), 'Tuple({types})'))"


def _shape(*, type: str, date: str, started: str, ended: str, category: str, data: str, details: str) -> Shape:
    return Shape(
        (
            Member("type", type),
            Member("sensor", "sensor"),
            Member("date", date),
            Member("started", started),
            Member("ended", ended),
            Member("token", "token"),
            Member("location", "location"),
            Member("category", category),
            Member("hostAddr", address("client_ip", "client_port")),
            Member("localAddr", address("server_ip", "server_port")),
            Member("data", data),
            Member("details", details, raw=True),
            Member("session_id", "session_id"),
            Member("container_id", "container_id"),
        )
    )


def _date(time: str, rfc3339: bool) -> str:
    return f"formatDateTime({time}, '{'%Y-%m-%d' if rfc3339 else '%d-%m-%Y'}', 'UTC')"


def moment(time: str, rfc3339: bool) -> str:
    """``06-04-2013 01:11:10:32``, the last group hundredths of a second cut off, not rounded; "" for no time."""
    if rfc3339:
        return f"ifNull(formatDateTime({time}, '%Y-%m-%dT%H:%i:%S.%fZ', 'UTC'), '')"
    return f"ifNull(substring(formatDateTime({time}, '%d-%m-%Y %H:%i:%S:%f', 'UTC'), 1, 22), '')"
