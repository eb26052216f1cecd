"""Teleport's audit events."""

import json
from pathlib import Path
from typing import Any

import pytest

from producers.formats import Decoded, Rejection, Source, decode
from producers.formats.teleport import decode_teleport
from schemas.dead_letters import Reason
from schemas.records import Action

LINES = (Path(__file__).parents[3] / "data" / "formats" / "teleport.txt").read_bytes().splitlines()
START, RUN, END, DATA, LOGIN = (json.loads(line) for line in LINES)
SID = "293fda2d-2266-4d4d-b9d1-bd5ea9dd9fc3"
BEGAN, STOPPED = 1_619_202_157_348_123, 1_619_202_190_412_345


def decoded(event: dict[str, Any]) -> Decoded:
    records = decode_teleport(json.dumps(event).encode())
    assert not isinstance(records, Rejection), records
    [record] = records
    return record


def details(record: Decoded) -> dict[str, Any]:
    read = json.loads(bytes(record.event.details))
    assert isinstance(read, dict)
    return read


def test_the_start_of_a_session_opens_it() -> None:
    record = decoded(START)
    event, connection = record.event, record.connection
    assert connection is not None
    assert (connection.action, connection.server_name, connection.server_user) == (Action.CONNECT, "node-1", "root")
    for each in (event, connection):
        assert (each.sensor, each.session_id, each.protocol, each.user) == ("root", SID, "ssh", "benarent")
        assert (each.client_ip, each.client_port) == ("67.43.156.12", 52752)
        assert (each.server_ip, each.server_port) == ("172.31.28.130", 3022)
    assert event.kind == "connect"
    assert details(record) == {
        name: value for name, value in START.items() if name not in ("time", "uid", "cluster_name", "sid", "user")
    }


def test_the_end_of_a_session_says_both_ends() -> None:
    record = decoded(END)
    assert record.connection is not None
    assert record.connection.action is Action.COMPLETE
    assert (record.connection.started, record.connection.ended) == (BEGAN, STOPPED)
    assert (record.event.started, record.event.ended, record.event.kind) == (BEGAN, STOPPED, "close")


@pytest.mark.parametrize("more", [{"session_start": None}, {"session_stop": "later"}, {"session_stop": 5}])
def test_an_end_that_does_not_say_both_closes(more: dict[str, Any]) -> None:
    record = decoded({**END, **more})
    assert record.connection is not None
    assert record.connection.action is Action.DISCONNECT
    assert details(record)["session_stop"] == {**END, **more}["session_stop"]


@pytest.mark.parametrize(
    ("event", "kind", "protocol", "data"),
    [
        (RUN, "command", "ssh", "ls -la /"),
        (DATA, "other", "ssh", "session.data"),
        (LOGIN, "login.failed", "", "invalid credentials"),
        ({**LOGIN, "success": True, "error": None}, "login.success", "", "user.login"),
        ({**START, "event": "db.session.start", "proto": "", "db_protocol": "postgres"}, "connect", "postgres", None),
        ({**START, "event": "windows.desktop.session.start", "proto": ""}, "connect", "rdp", None),
        ({**START, "event": "app.session.end", "proto": ""}, "close", "http", None),
        ({**RUN, "event": "exec", "program": None, "command": "id"}, "command", "ssh", "id"),
        ({**RUN, "event": "resize"}, "other", "ssh", None),
    ],
)
def test_kinds_and_what_is_said(event: dict[str, Any], kind: str, protocol: str, data: str | None) -> None:
    found = decoded(event).event
    assert (found.kind, found.protocol) == (kind, protocol)
    assert data is None or found.data == data


def test_events_of_a_session_are_its_activity_and_a_login_stands_alone() -> None:
    assert (decoded(RUN).connection, decoded(RUN).alone, decoded(RUN).event.session_id) == (None, False, SID)
    login = decoded(LOGIN)
    assert (login.connection, login.alone) == (None, True)
    assert (login.event.client_ip, login.event.client_port) == ("2001:db8::1", 5000)


def test_the_uid_is_the_records_id() -> None:
    records = decode(decode_teleport, LINES[0], 7, 0, Source("e", "t", 0))
    assert not isinstance(records, Rejection)
    assert records[0].event.record_id == "b0e6-1"
    assert records[0].connection is not None
    assert records[0].connection.record_id == "b0e6-1"


@pytest.mark.parametrize("address", ["node-1", "1.2.3.4:70000", "1.2.3.4:x", ":", ""])
def test_what_is_no_address_is_left_in_details(address: str) -> None:
    record = decoded({**START, "addr.remote": address})
    assert (record.event.client_ip, record.event.client_port) == ("", 0)
    assert details(record)["addr.remote"] == address


@pytest.mark.parametrize(
    ("event", "reason", "field"),
    [
        ({"event": "session.start"}, Reason.MISSING_FIELD, "time"),
        ({"time": "2021-04-23T18:22:37.348Z"}, Reason.MISSING_FIELD, "event"),
        ({"time": "2021-04-23T18:22:37.348Z", "event": ""}, Reason.BAD_VALUE, "event"),
        ({"time": "now", "event": "x"}, Reason.BAD_TIME, "time"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(event: dict[str, Any], reason: Reason, field: str) -> None:
    rejection = decode_teleport(json.dumps(event).encode())
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == (reason, field)
