"""A record as it comes from Kafka in the members of Honeytrap's document: the same JSON as its row gives on a page.

``rows`` says the same in SQL; tests/conformance/test_honeytrap_live.py compares the two.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from schemas.kinds import SESSION_CLOSED_CODE, SESSION_OPEN_CODE
from schemas.records import Event, Session, State
from schemas.times import to_datetime

_encode = msgspec.json.Encoder().encode
_LINE_ENDS = re.compile(rb"[\r\n]+")


def writer(rfc3339: bool) -> Callable[[Event | Session], bytes]:
    """What writes a record; the same one each time, as writings are kept by it."""
    return _rfc3339 if rfc3339 else _document


def _document(record: Event | Session) -> bytes:
    return _written(record, rfc3339=False)


def _rfc3339(record: Event | Session) -> bytes:
    return _written(record, rfc3339=True)


def _written(record: Event | Session, *, rfc3339: bool) -> bytes:
    details: Any
    started: int | None
    if isinstance(record, Event):
        code, data, time, details = record.type, record.data, record.time, _details(bytes(record.details))
        started, ended = record.time if record.started is None else record.started, record.ended
    else:
        code = SESSION_OPEN_CODE if record.state is State.OPEN else SESSION_CLOSED_CODE
        data, details = "", _session_details(record, rfc3339)
        started, ended = record.started_at, record.ended_at
        time = next(each for each in (started, ended, record.last_activity_at) if each is not None)
    return _encode(
        {
            "type": code,
            "sensor": record.sensor,
            "date": to_datetime(time).strftime("%Y-%m-%d" if rfc3339 else "%d-%m-%Y"),
            "started": _moment(started, rfc3339),
            "ended": _moment(ended, rfc3339),
            "token": record.token,
            "location": record.location,
            "category": record.protocol or record.category,
            "hostAddr": _address(record.client_ip, record.client_port),
            "localAddr": _address(record.server_ip, record.server_port),
            "data": data,
            "details": details,
            "session_id": record.session_id,
            "container_id": record.container_id,
        }
    )


def _session_details(session: Session, rfc3339: bool) -> dict[str, Any]:
    return {
        "protocol": session.protocol,
        "user": session.user,
        "event_count": session.event_count,
        "state": session.state,
        "duration": session.duration,
        "duration_quality": session.duration_quality,
        "end_reason": session.end_reason,
        "last_activity": _moment(session.last_activity_at, rfc3339),
        "version": session.version,
        "mac": session.mac,
        "client_name": session.client_name,
        "server_name": session.server_name,
        "user_id": session.user_id,
        "server_user": session.server_user,
        "connect_kind": session.connect_kind,
        "disconnect_kind": session.disconnect_kind,
        "flags": session.flags,
        "attributes": session.attributes,
    }


def _details(text: bytes) -> msgspec.Raw:
    """On one line: a record is one line of a stream."""
    return msgspec.Raw(_LINE_ENDS.sub(b" ", text) or b"{}")


def _moment(time: int | None, rfc3339: bool) -> str:
    """As ``rows`` has it: hundredths cut off, "" for no time."""
    if time is None:
        return ""
    moment = to_datetime(time)
    if rfc3339:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return f"{moment:%d-%m-%Y %H:%M:%S}:{moment.microsecond // 10_000:02d}"


def _address(ip: str, port: int) -> str:
    if not ip or not port:
        return ip
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
