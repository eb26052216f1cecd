"""Zeek's logs in every form they are shipped in; the recording is a real conn.log."""

import json
from pathlib import Path
from typing import Any

import pytest

from producers.formats import Rejection
from producers.formats.zeek import decode_zeek
from schemas.dead_letters import Reason
from schemas.records import Action, Connection, Event, session_key

RECORDING = Path(__file__).parents[3] / "data" / "zeek-conn.json"
TS = 1_575_413_096_052_279

CONN: dict[str, Any] = {
    "ts": 1575413096.052279,
    "uid": "CH53301MTU21BMj2Bj",
    "id.orig_h": "10.18.20.97",
    "id.orig_p": 49187,
    "id.resp_h": "10.18.20.8",
    "id.resp_p": 88,
    "proto": "tcp",
    "service": "krb_tcp",
    "duration": 1.5,
    "orig_bytes": 242,
    "conn_state": "RSTR",
}
SSH = {
    **{name: CONN[name] for name in CONN if name.startswith(("ts", "uid", "id."))},
    "version": 2,
    "auth_success": True,
    "auth_attempts": 2,
    "client": "SSH-2.0-Go",
    "server": "SSH-2.0-OpenSSH_9.7",
}
COLUMNS = (
    "1575413096.052279\tCH53301MTU21BMj2Bj\t10.18.20.97\t49187\t10.18.20.8\t88\ttcp\tkrb_tcp\t1.5\t242\t283\tRSTR\t"
    "T\t-\t0\tShADdFar\t4\t414\t4\t455\t(empty)"
)


def decoded(line: dict[str, Any] | str) -> tuple[Event, Connection | None]:
    records = decode_zeek((line if isinstance(line, str) else json.dumps(line)).encode())
    assert not isinstance(records, Rejection), records
    [record] = records
    return record.event, record.connection


def details(event: Event) -> dict[str, Any]:
    read = json.loads(bytes(event.details))
    assert isinstance(read, dict)
    return read


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in CONN.items() if name not in names}


def test_a_finished_connection_is_a_complete_session_of_its_uid() -> None:
    event, connection = decoded(CONN)
    assert connection is not None
    assert connection.action is Action.COMPLETE
    assert event.kind == "flow"
    for record in (event, connection):
        assert (record.sensor, record.session_id, record.protocol) == ("zeek", "CH53301MTU21BMj2Bj", "krb_tcp")
        assert (record.client_ip, record.client_port) == ("10.18.20.97", 49187)
        assert (record.server_ip, record.server_port) == ("10.18.20.8", 88)
        assert (record.time, record.started, record.ended) == (TS, TS, TS + 1_500_000)
    assert connection.attributes == {"conn_state": "RSTR"}
    assert details(event) == {"proto": "tcp", "duration": 1.5, "orig_bytes": 242, "conn_state": "RSTR"}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param({**CONN, "_path": "conn", "_write_ts": "2019-12-03T22:44:57.6Z"}, id="streamed, with a path"),
        pytest.param({"conn": CONN}, id="zeek-kafka with a tag"),
        pytest.param({"conn": CONN, "site": "lab"}, id="zeek-kafka with a tag and values beside it"),
        pytest.param({**CONN, "ts": "2019-12-03T22:44:56.052279Z"}, id="ISO 8601"),
        pytest.param({**CONN, "ts": "2019-12-03T23:44:56.052279+01:00"}, id="ISO 8601 with an offset"),
        pytest.param(dict(reversed(CONN.items())), id="any order"),
        pytest.param({**CONN, "new_field": [1, {"a": None}]}, id="a field nobody knows"),
        pytest.param({**CONN, "id.orig_p": "49187", "duration": "1.5"}, id="numbers as text"),
        pytest.param(
            {
                **without("id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"),
                "id": {"orig_h": "10.18.20.97", "orig_p": 49187, "resp_h": "10.18.20.8", "resp_p": 88},
            },
            id="endpoints as an object",
        ),
        pytest.param(COLUMNS, id="columns"),
        pytest.param(COLUMNS + "\t6", id="columns of Zeek 7.1"),
    ],
)
def test_every_form_of_a_connection_gives_the_same_record(line: dict[str, Any] | str) -> None:
    assert decoded(line)[1] == decoded(CONN)[1]


def test_milliseconds_are_known_by_their_size() -> None:
    assert decoded({**CONN, "ts": 1575413096052})[0].time == 1_575_413_096_052_000


def test_columns_become_the_fields_they_stand_for() -> None:
    assert details(decoded(COLUMNS)[0]) == {
        "_path": "conn",
        "proto": "tcp",
        "duration": 1.5,
        "orig_bytes": 242,
        "resp_bytes": 283,
        "conn_state": "RSTR",
        "local_orig": True,
        "missed_bytes": 0,
        "history": "ShADdFar",
        "orig_pkts": 4,
        "orig_ip_bytes": 414,
        "resp_pkts": 4,
        "resp_ip_bytes": 455,
        "tunnel_parents": [],
    }


def test_what_stands_beside_a_tag_stays_and_may_name_the_sensor() -> None:
    event, _ = decoded({"conn": CONN, "sensor": "tap-1", "site": "lab", "proto": "mine"})
    assert event.sensor == "tap-1"
    assert details(event)["site"] == "lab"
    assert details(event)["proto"] == "tcp"
    assert details(event)["sojourn.field.proto"] == "mine"


@pytest.mark.parametrize(("name", "sensor"), [("sensor", "tap-1"), ("_system_name", "tap-2")])
def test_the_sensor_is_named_by_the_line_where_it_says_it(name: str, sensor: str) -> None:
    event, connection = decoded({**CONN, name: sensor})
    assert connection is not None
    assert event.sensor == connection.sensor == sensor


def test_one_packet_lasts_no_time_and_icmp_has_no_ports() -> None:
    event, connection = decoded({**without("duration", "service"), "proto": "icmp", "id.orig_p": 8, "id.resp_p": 0})
    assert connection is not None
    assert connection.started == connection.ended == TS
    assert connection.protocol == "icmp"
    assert (event.client_port, event.server_port, connection.client_port) == (0, 0, 0)
    assert details(event)["id.orig_p"] == 8


def test_ssh_log_enriches_the_session_of_its_uid_whether_it_comes_before_or_after_conn_log() -> None:
    event, connection = decoded(SSH)
    assert connection is not None
    assert (connection.action, connection.opens, connection.protocol) == (Action.ACTIVITY, True, "ssh")
    assert connection.first_time == connection.last_time == TS
    assert connection.attributes == {
        "auth_success": "true",
        "auth_attempts": "2",
        "client": "SSH-2.0-Go",
        "server": "SSH-2.0-OpenSSH_9.7",
    }
    assert (event.kind, event.category, event.protocol, event.data) == ("login.success", "ssh", "ssh", "SSH-2.0-Go")
    assert session_key(connection) == session_key(event) == b'["zeek","CH53301MTU21BMj2Bj"]'


@pytest.mark.parametrize(
    ("more", "kind", "category", "protocol", "data"),
    [
        ({"_path": "ssh", "auth_success": False}, "login.failed", "ssh", "ssh", ""),
        ({"_path": "ssh", "client": "x"}, "client", "ssh", "ssh", "x"),
        ({"_path": "http", "method": "GET", "uri": "/a"}, "other", "http", "http", "/a"),
        ({"method": "GET", "uri": "/a", "status_code": 200}, "other", "http", "http", "/a"),
        ({"_path": "dns", "query": "example.org", "proto": "udp"}, "other", "dns", "dns", "example.org"),
        ({"query": "example.org", "qtype": 1, "proto": "udp"}, "other", "dns", "dns", "example.org"),
        ({"_path": "notice", "msg": "scan", "note": "Scan::Port", "proto": "tcp"}, "alert", "notice", "tcp", "scan"),
        ({"_path": "weird", "name": "bad_TCP_checksum"}, "other", "weird", "", "bad_TCP_checksum"),
        ({"what": "nobody knows"}, "other", "", "", ""),
    ],
)
def test_other_logs_are_events_of_the_same_session(
    more: dict[str, Any], kind: str, category: str, protocol: str, data: str
) -> None:
    event, connection = decoded({"ts": 5.5, "uid": "C1", "id.orig_h": "10.0.0.1", **more})
    assert (event.kind, event.category, event.protocol, event.data) == (kind, category, protocol, data)
    assert connection is not None
    assert connection.action is Action.ACTIVITY
    assert more.items() - {("proto", "tcp")} <= details(event).items()


def test_a_line_about_no_connection_is_an_event() -> None:
    event, connection = decoded({"ts": 5.5, "_path": "stats", "peer": "zeek", "pkts_proc": 5})
    assert connection is None
    assert session_key(event) == b""
    assert details(event) == {"_path": "stats", "peer": "zeek", "pkts_proc": 5}


@pytest.mark.parametrize(
    ("line", "reason", "field"),
    [
        (without("ts"), Reason.MISSING_FIELD, "ts"),
        ({**CONN, "ts": None}, Reason.MISSING_FIELD, "ts"),
        ({**CONN, "ts": "yesterday"}, Reason.BAD_TIME, "ts"),
        ({**CONN, "ts": 1e300}, Reason.BAD_TIME, "ts"),
        ({**CONN, "ts": [1]}, Reason.WRONG_TYPE, "ts"),
        (without("uid", "id.orig_h"), Reason.MISSING_FIELD, "uid"),
        ("#fields\tts\tuid", Reason.BAD_VALUE, ""),
        ("a\tb", Reason.NOT_JSON, ""),
        (COLUMNS.replace("1575413096.052279", "x"), Reason.BAD_TIME, "ts"),
        ("", Reason.NOT_JSON, ""),
        ('{"ts":5', Reason.NOT_JSON, ""),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(line: dict[str, Any] | str, reason: Reason, field: str) -> None:
    rejection = decode_zeek((line if isinstance(line, str) else json.dumps(line)).encode())
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == (reason, field)
    assert rejection.expected


@pytest.mark.parametrize(("name", "value"), [("id.orig_p", 70000), ("duration", "long"), ("service", ["a"])])
def test_any_other_field_that_cannot_be_read_stays_in_details(name: str, value: Any) -> None:
    event, connection = decoded({**CONN, name: value})
    assert connection is not None
    assert event.flags == ["field_unread"]
    assert details(event)[name] == value


def test_the_recording_is_50_connections_with_exact_ends() -> None:
    lines = RECORDING.read_bytes().splitlines()
    assert len(lines) == 50
    for value in lines:
        written = json.loads(value)
        event, connection = decoded(value.decode())
        assert connection is not None
        assert connection.started is not None and connection.ended is not None
        assert connection.session_id == written["uid"]
        assert connection.started == round(written["ts"] * 1_000_000)
        assert connection.ended - connection.started == round(written.get("duration", 0) * 1_000_000)
        placed = {"ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "service"}
        if written["proto"] != "icmp":
            assert details(event) == {name: each for name, each in written.items() if name not in placed}
