"""Cowrie's log, every generation of it; the recording is a real one."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from producers.formats import DECODERS, Rejection, Source, decode
from producers.formats.cowrie import decode_cowrie, kind_of
from schemas.dead_letters import Reason
from schemas.records import Action, Connection, Event, session_key

RECORDING = Path(__file__).parents[4] / "deploy" / "demo" / "cowrie-live.json"
TEN = 1_795_341_600_000_000  # 2026-11-22T10:00:00Z

LINE = {
    "eventid": "cowrie.session.params",
    "session": "21e2674a3315",
    "protocol": "ssh",
    "src_ip": "192.0.2.77",
    "src_port": 54762,
    "dst_ip": "198.51.100.7",
    "dst_port": 22,
    "sensor": "lab",
    "uuid": "90ae42a8",
    "timestamp": "2026-11-22T10:00:00.000000Z",
    "message": "said",
}
#: What a line of 2018 had beside its own fields: neither protocol nor ports after the connect.
OLD = {
    "eventid": "cowrie.command.input",
    "session": "21e2674a3315",
    "src_ip": "192.0.2.77",
    "sensor": "lab",
    "timestamp": "2018-02-03T04:05:06.789012Z",
    "message": "CMD: id",
    "input": "id",
    "system": "SSHService",
    "isError": 0,
}


def decoded(fields: dict[str, Any] | bytes) -> tuple[Event, Connection | None]:
    records = decode_cowrie(fields if isinstance(fields, bytes) else json.dumps(fields).encode())
    assert not isinstance(records, Rejection), records
    [record] = records
    return record.event, record.connection


def line(eventid: str, **fields: object) -> tuple[Event, Connection | None]:
    return decoded({**LINE, "eventid": eventid, **fields})


def details(event: Event) -> dict[str, Any]:
    read = json.loads(bytes(event.details))
    assert isinstance(read, dict)
    return read


@pytest.mark.parametrize(
    ("eventid", "kind", "action"),
    [
        ("cowrie.session.connect", "connect", Action.CONNECT),
        ("cowrie.session.closed", "close", Action.DISCONNECT),
        ("cowrie.login.success", "login.success", Action.ANNOTATE),
        ("cowrie.login.failed", "login.failed", Action.ANNOTATE),
        ("cowrie.command.input", "command", None),
        ("cowrie.command.failed", "command", None),
        ("cowrie.command.success", "command", None),
        ("cowrie.session.input", "terminal", None),
        ("cowrie.session.file_download", "download", None),
        ("cowrie.session.file_download.failed", "download", None),
        ("cowrie.session.file_upload", "upload", None),
        ("cowrie.client.version", "client", None),
        ("cowrie.client.kex", "client", None),
        ("cowrie.client.fingerprint", "client", None),
        ("cowrie.direct-tcpip.request", "forward", None),
        ("cowrie.direct-tcpip.data", "forward", None),
        ("cowrie.log.closed", "terminal", None),
        ("cowrie.log.open", "terminal", None),
        ("cowrie.session.params", "other", None),
        ("cowrie.virustotal.scanfile", "other", None),
        ("cowrie.nobody.knows", "other", None),
        ("something else", "other", None),
    ],
)
def test_every_eventid_has_its_kind_and_some_say_something_about_the_connection(
    eventid: str, kind: str, action: Action | None
) -> None:
    event, connection = line(eventid)
    assert event.kind == kind == kind_of(eventid)
    assert (connection.action if connection else None) == action
    assert details(event)["eventid"] == eventid
    assert session_key(event) == b'["lab","21e2674a3315"]'
    if connection:
        assert session_key(connection) == session_key(event)


def test_the_fields_of_a_line_have_their_places() -> None:
    event, connection = line("cowrie.session.connect")
    assert connection is not None
    for record in (event, connection):
        assert record.sensor == "lab"
        assert record.time == TEN
        assert record.session_id == "21e2674a3315"
        assert record.protocol == record.category == "ssh"
        assert (record.client_ip, record.client_port) == ("192.0.2.77", 54762)
        assert (record.server_ip, record.server_port) == ("198.51.100.7", 22)
        assert record.token == "90ae42a8"
    assert (event.data, event.content, event.action) == ("said", "", "")
    assert details(event) == {"eventid": "cowrie.session.connect"}


def test_a_command_is_data_and_action_and_its_message_the_content() -> None:
    event, _ = line("cowrie.command.input", input="id; w", message="CMD: id; w", realm="x")
    assert (event.data, event.action, event.content) == ("id; w", "id; w", "CMD: id; w")
    assert details(event) == {"eventid": "cowrie.command.input", "realm": "x"}


def test_a_login_names_the_user_and_says_whether_it_succeeded() -> None:
    for outcome in ("success", "failed"):
        event, connection = line(f"cowrie.login.{outcome}", username="root", password="toor")
        assert connection is not None
        assert event.user == connection.user == "root"
        assert connection.attributes == {"login": outcome}
        assert details(event) == {"eventid": f"cowrie.login.{outcome}", "password": "toor"}


def test_the_destination_of_a_forward_is_not_the_sensor() -> None:
    event, _ = line("cowrie.direct-tcpip.request", dst_ip="203.0.113.9", dst_port=25, orig_ip="127.0.0.1")
    assert (event.server_ip, event.server_port) == ("", 0)
    assert details(event) == {
        "eventid": "cowrie.direct-tcpip.request",
        "dst_ip": "203.0.113.9",
        "dst_port": 25,
        "orig_ip": "127.0.0.1",
    }


@pytest.mark.parametrize(
    ("field", "written", "micros"),
    [
        ("duration_ms", 1051, 1_051_000),
        ("duration_ms", 0, 0),
        ("duration_ms", "1051", 1_051_000),
        ("duration", 59.2, 59_200_000),
        ("duration", "59.2", 59_200_000),
        ("duration", 59, 59_000_000),
        ("duration", " 59.2 ", 59_200_000),
        ("duration", -1, None),
        ("duration", 1e300, None),
        ("duration", "long", None),
        ("duration", None, None),
        ("duration", [5], None),
        ("duration", "nan", None),
        ("duration", "inf", None),
    ],
)
def test_all_generations_of_the_duration_are_read(field: str, written: object, micros: int | None) -> None:
    started = None if micros is None else TEN - micros
    for eventid in ("cowrie.session.closed", "cowrie.log.closed"):
        for extra in ({}, {"a_field_we_do_not_know": 1}):
            event, connection = line(eventid, **{field: written}, **extra)
            assert event.started == started
            assert event.ended == (None if started is None else TEN)
            assert details(event)[field] == written
            if connection:
                assert (connection.started, connection.time) == (started, TEN)


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-11-22T10:00:00.000000Z",
        "2026-11-22T12:00:00.000000+0200",
        "2026-11-22T12:00:00.000000+02:00",
        "2026-11-22T05:00:00-0500",
        "2026-11-22T10:00:00.000000",
        "2026-11-22 10:00:00",
        1_795_341_600,
        1_795_341_600.0,
    ],
)
def test_all_generations_of_the_timestamp_are_read(timestamp: object) -> None:
    assert line("cowrie.session.connect", timestamp=timestamp)[0].time == TEN


def test_a_line_of_2018_has_no_protocol_and_no_ports_and_is_read_all_the_same() -> None:
    event, connection = decoded(OLD)
    assert connection is None
    assert (event.kind, event.data, event.protocol, event.client_port, event.server_ip) == ("command", "id", "", 0, "")
    assert event.flags == []
    assert details(event) == {"eventid": "cowrie.command.input", "system": "SSHService", "isError": 0}


def test_fields_nobody_listed_are_kept_in_details_with_the_others() -> None:
    event, _ = line("cowrie.client.version", version="SSH-2.0-x", brand_new={"a": [1.50]}, username="root")
    assert details(event) == {
        "eventid": "cowrie.client.version",
        "version": "SSH-2.0-x",
        "brand_new": {"a": [1.5]},
    }
    assert event.flags == []


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("src_port", "many"),
        ("src_port", -1),
        ("src_port", 70_000),
        ("dst_port", [22]),
        ("src_ip", {"v4": "x"}),
        ("message", ["a", "b"]),
        ("username", True),
        ("uuid", []),
        ("protocol", {}),
        ("session", [1]),
    ],
)
def test_an_optional_field_that_cannot_be_read_stays_in_details_and_the_rest_is_used(
    field: str, written: object
) -> None:
    event, connection = line("cowrie.session.connect", **{field: written})
    assert details(event) == {"eventid": "cowrie.session.connect", field: written}
    assert event.flags == ["field_unread"]
    assert event.time == TEN
    assert connection is not None
    assert connection.action is Action.CONNECT


def test_a_number_is_text_where_text_is_meant_and_digits_are_a_port() -> None:
    event, _ = line("cowrie.login.failed", username=12345, src_port="54762", dst_ip=None, session=987)
    assert (event.user, event.client_port, event.server_ip, event.session_id) == ("12345", 54762, "", "987")
    assert event.flags == []
    assert details(event) == {"eventid": "cowrie.login.failed"}


@pytest.mark.parametrize(
    ("changed", "reason", "field"),
    [
        ({"eventid": None}, Reason.MISSING_FIELD, "eventid"),
        ({"eventid": ""}, Reason.BAD_VALUE, "eventid"),
        ({"eventid": ["x"]}, Reason.WRONG_TYPE, "eventid"),
        ({"sensor": None}, Reason.MISSING_FIELD, "sensor"),
        ({"sensor": ""}, Reason.BAD_VALUE, "sensor"),
        ({"sensor": True}, Reason.WRONG_TYPE, "sensor"),
        ({"timestamp": None}, Reason.MISSING_FIELD, "timestamp"),
        ({"timestamp": "yesterday"}, Reason.BAD_TIME, "timestamp"),
        ({"timestamp": 1e15}, Reason.BAD_TIME, "timestamp"),
        ({"timestamp": False}, Reason.WRONG_TYPE, "timestamp"),
        ({"eventid": "cowrie.session.connect", "session": "", "src_ip": ""}, Reason.MISSING_FIELD, "session"),
        ({"eventid": "cowrie.session.closed", "session": None, "src_ip": None}, Reason.MISSING_FIELD, "session"),
    ],
)
def test_a_line_without_what_it_needs_is_refused_by_field(
    changed: dict[str, object], reason: Reason, field: str
) -> None:
    rejection = decode_cowrie(json.dumps({**LINE, **changed}).encode())
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == (reason, field)
    assert rejection.expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"Connection lost", Reason.NOT_JSON),
        (b'{"eventid":', Reason.NOT_JSON),
        (b"[{}]", Reason.NOT_AN_OBJECT),
        (b"7", Reason.NOT_AN_OBJECT),
        (b"\xff\xfe{}", Reason.NOT_UTF8),
        (b'{"eventid":"e","sensor":"s","timestamp":1,"new":"\xff"}', Reason.NOT_UTF8),
    ],
)
def test_what_is_no_line_of_the_log_is_refused_as_a_whole(value: bytes, reason: Reason) -> None:
    rejection = decode_cowrie(value)
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == (reason, "")


def test_a_login_of_nobody_knows_which_connection_is_an_event_alone() -> None:
    event, connection = line("cowrie.login.success", session="", src_ip="", username="root")
    assert connection is None
    assert event.user == "root"


def test_undecodable_bytes_that_python_escaped_are_replaced_and_flagged() -> None:
    event, _ = line("cowrie.command.input", input="echo \udcff")
    assert event.data == "echo \N{REPLACEMENT CHARACTER}"
    assert event.flags == ["text_replaced"]


def test_the_order_of_the_fields_means_nothing() -> None:
    backwards = dict(reversed(LINE.items()))
    assert decode_cowrie(json.dumps(backwards).encode())[0].connection == decoded(LINE)[1]  # type: ignore[index]
    event, other = decoded(backwards)[0], decoded(LINE)[0]
    assert details(event) == details(other)
    event.details = other.details
    assert event == other


def test_the_recording_is_67_events_of_8_sessions_that_last_as_long_as_the_log_says() -> None:
    source = Source("e", "sensor.native.cowrie", 0)
    events: dict[str, list[Event]] = defaultdict(list)
    connections: dict[str, dict[Action, Connection]] = defaultdict(dict)
    logged: dict[str, int] = {}
    for offset, value in enumerate(RECORDING.read_bytes().splitlines()):
        records = decode(DECODERS["cowrie"], value, offset, 0, source)
        assert not isinstance(records, Rejection)
        for record in records:
            events[record.event.session_id].append(record.event)
            if record.connection:
                connections[record.event.session_id][record.connection.action] = record.connection
        written = json.loads(value)
        if written["eventid"] == "cowrie.session.closed":
            logged[written["session"]] = written["duration_ms"]
    assert [len(some) for some in events.values()] == [5, 16, 9, 6, 3, 8, 10, 10]
    assert len(logged) == 8
    for session, said in logged.items():
        connect, disconnect = connections[session][Action.CONNECT], connections[session][Action.DISCONNECT]
        assert disconnect.started is not None
        assert abs((disconnect.time - connect.time) / 1000 - said) < 1
        assert disconnect.time - disconnect.started == said * 1000
        assert connect.client_port and connect.server_port and connect.protocol in ("ssh", "telnet")
    users = [found[Action.ANNOTATE].user for found in connections.values() if Action.ANNOTATE in found]
    assert users == ["root", "root", "root", "root", "root", "admin", "root"]
