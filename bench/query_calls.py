"""What clients of each dialect typically ask: the calls that ``bench.query`` measures."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

#: Rows lie in the thirty days that end now, so that what is asked of the last days is there.
BEGIN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=29)
SPAN = timedelta(days=30)


class Call(msgspec.Struct, frozen=True):
    """A GET; ``body`` is sent as JSON."""

    name: str
    path: str
    body: dict[str, Any] | None = None


def day(number: int) -> str:
    """The n-th day of the rows, from 0."""
    return f"{BEGIN + timedelta(days=number):%Y-%m-%d}"


def honeytrap() -> list[Call]:
    return [
        Call("events: newest 10", "/events", {"response_per_page": 10}),
        Call(
            "events: 10, regex and types",
            "/events",
            {"response_per_page": 10, "types": [1, 5, 20], "sensors": ["ping", "^connect"]},
        ),
        Call(
            "events: 10, one regex and types",
            "/events",
            {"response_per_page": 10, "types": [5, 51], "sensors": ["^ssh_"]},
        ),
        Call("events: 10, types only", "/events", {"response_per_page": 10, "types": [5, 51]}),
        Call("events: 10, kinds by regex", "/events", {"response_per_page": 10, "types": ["^login"]}),
        Call("events: page 1000 of 10", "/events", {"response_per_page": 10, "page": 1000, "sensors": ["^ssh_"]}),
        Call("events: 1000 rows", "/events", {"response_per_page": 1000, "sensors": ["^ssh_"]}),
        Call("sessions: newest 10", "/sessions", {"response_per_page": 10}),
        Call(
            "sessions: 10, regex and types",
            "/sessions",
            {"response_per_page": 10, "types": [5], "sensors": ["^ssh_"]},
        ),
    ]


def sps(session_id: str) -> list[Call]:
    sessions = "/api/audit/sessions"
    one_day = f"start={day(20)}T00:00:00&end={day(21)}T00:00:00"
    return [
        Call("sps: newest 10, ids", f"{sessions}?limit=10"),
        Call("sps: newest 10, three fields", f"{sessions}?limit=10&fields=protocol,client.ip,start_time"),
        Call("sps: newest 10, all fields", f"{sessions}?limit=10&fields=*"),
        Call("sps: 500 of a day, one protocol", f"{sessions}?{one_day}&q=protocol:ssh&limit=500"),
        Call("sps: 500 of a day, all fields", f"{sessions}?{one_day}&fields=*&limit=500"),
        Call("sps: by address, all fields", f"{sessions}?limit=10&q=client.ip:203.0.113.1&fields=*"),
        Call("sps: content of a day", f"{sessions}?limit=10&{one_day}&content=wget"),
        Call("sps: _count of a day", f"{sessions}/_count?{one_day}&q=protocol:ssh"),
        Call("sps: stats of a day", f"{sessions}/stats?field=protocol&{one_day}"),
        Call("sps: histogram of a day", f"{sessions}/histogram?field=start_time&bin-size=hour&{one_day}"),
        Call("sps: one session", f"{sessions}/{session_id}"),
        Call("sps: events of a session", f"{sessions}/{session_id}/events"),
        Call("sps: channels of a session", f"{sessions}/{session_id}/channels"),
    ]


def fudo(session_id: str) -> list[Call]:
    sessions = "/api/v2/session"
    recent = quote(f"protocol.eq(ssh),started_at.ge({day(20)})")
    return [
        Call("fudo: newest 10", f"{sessions}?limit=10"),
        Call("fudo: newest 10, three fields", f"{sessions}?limit=10&fields=id,protocol,started_at"),
        Call("fudo: 10 by protocol and time", f"{sessions}?limit=10&filter={recent}"),
        Call("fudo: the same and how many", f"{sessions}?limit=10&filter={recent}&total_count"),
        Call("fudo: by address", f"{sessions}?limit=10&filter={quote('source_ip.eq(203.0.113.1)')}"),
        Call("fudo: one session", f"{sessions}/{session_id}"),
    ]


def netalertx(mac: str) -> list[Call]:
    return [
        Call("netalertx: list of a day", f"/sessions/list?start_date={day(27)}&end_date={day(27)}"),
        Call("netalertx: list of a device", f"/sessions/list?mac={quote(mac)}&start_date={day(20)}"),
        Call("netalertx: sessions of a device", f"/sessions/{quote(mac)}?period={quote('7 days')}"),
        Call("netalertx: calendar of a day", f"/sessions/calendar?start={day(27)}&end={day(27)}&mac={quote(mac)}"),
        Call("netalertx: sessions as a table", f"/sessions/session-events?type=sessions&period={quote('1 day')}"),
        Call("netalertx: devices by status", "/devices/by-status"),
    ]
