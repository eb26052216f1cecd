"""Suricata's eve.json: flows, and what joins them."""

import json
from typing import Any

import pytest

from producers.formats import Decoded, Rejection
from producers.formats.suricata import decode_suricata
from producers.formats.suricata_line import probable_session_id, session_id
from schemas.dead_letters import Reason
from schemas.records import Action, Connection, session_key

START = 1_731_460_920_386_389
SESSION = "252156359044262-1731460920"
ADDRESSES: dict[str, Any] = {
    "flow_id": 252156359044262,
    "src_ip": "172.18.0.2",
    "src_port": 52526,
    "dest_ip": "192.0.2.9",
    "dest_port": 443,
    "proto": "TCP",
}
FLOW: dict[str, Any] = {
    "timestamp": "2024-11-13T12:25:43.564905+1100",
    "event_type": "flow",
    **ADDRESSES,
    "app_proto": "tls",
    "flow": {
        "pkts_toserver": 9,
        "start": "2024-11-13T12:22:00.386389+1100",
        "end": "2024-11-13T12:22:00.395461+1100",
        "state": "closed",
        "reason": "timeout",
    },
    "tcp": {"syn": True},
}
ALERT: dict[str, Any] = {
    "timestamp": "2024-11-13T12:22:00.390000+1100",
    "event_type": "alert",
    **ADDRESSES,
    "alert": {"signature_id": 2027, "signature": "ET TEST", "severity": 3},
    "flow": {"pkts_toserver": 3, "start": "2024-11-13T12:22:00.386389+1100"},
}


def decoded(line: dict[str, Any]) -> Decoded:
    records = decode_suricata(json.dumps(line).encode())
    assert not isinstance(records, Rejection), records
    [record] = records
    return record


def connection_of(line: dict[str, Any]) -> Connection:
    connection = decoded(line).connection
    assert connection is not None
    return connection


def details(record: Decoded) -> dict[str, Any]:
    read = json.loads(bytes(record.event.details))
    assert isinstance(read, dict)
    return read


def without(line: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in names}


def test_a_flow_is_a_complete_session_that_ended_when_it_says_not_when_it_was_logged() -> None:
    record = decoded(FLOW)
    event, connection = record.event, connection_of(FLOW)
    assert connection.action is Action.COMPLETE
    for each in (event, connection):
        assert (each.sensor, each.session_id, each.protocol) == ("suricata", SESSION, "tls")
        assert (each.started, each.ended, each.time) == (START, START + 9_072, START + 9_072)
        assert (each.client_ip, each.client_port) == ("172.18.0.2", 52526)
        assert (each.server_ip, each.server_port) == ("192.0.2.9", 443)
    assert (event.kind, event.category) == ("flow", "flow")
    assert connection.attributes == {"flow.state": "closed", "flow.reason": "timeout"}
    assert details(record).keys() == {"timestamp", "event_type", "flow_id", "proto", "app_proto", "flow", "tcp"}
    assert details(record)["flow"] == FLOW["flow"]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(dict(reversed(FLOW.items())), id="any order"),
        pytest.param({**FLOW, "new": {"a": [1]}}, id="a field nobody knows"),
        pytest.param({**FLOW, "flow_id": "252156359044262", "src_port": "52526"}, id="numbers as text"),
        pytest.param({**FLOW, "timestamp": "2024-11-13T01:25:43Z"}, id="another zone"),
        pytest.param({"@timestamp": "x", "message": json.dumps(FLOW), "agent": {}}, id="a shipper's envelope"),
    ],
)
def test_every_form_of_a_flow_gives_the_same_session(line: dict[str, Any]) -> None:
    assert connection_of(line) == connection_of(FLOW)


def test_an_offset_without_colon_is_an_offset() -> None:
    assert decoded({**ALERT, "timestamp": "2018-07-05T15:01:09.820360-0400"}).event.time == 1_530_817_269_820_360


def test_a_flow_id_keeps_every_digit() -> None:
    assert connection_of({**FLOW, "flow_id": 2**63 - 1}).session_id == f"{2**63 - 1}-1731460920"


def test_an_alert_joins_its_flow_whichever_comes_first() -> None:
    record, connection = decoded(ALERT), connection_of(ALERT)
    assert (connection.action, connection.opens, connection.session_id) == (Action.ACTIVITY, True, SESSION)
    assert record.event.session_id == SESSION
    assert connection.first_time == START
    assert connection.last_time == record.event.time == START + 3_611
    assert connection.attributes == {"alert.2027": "ET TEST"}
    assert (record.event.kind, record.event.data) == ("alert", "ET TEST")
    # Its packet may have gone either way: who began the flow it does not say.
    assert connection.client_ip == ""
    assert record.event.client_ip == "172.18.0.2"


@pytest.mark.parametrize(
    "more",
    [
        {"direction": "to_client"},
        {
            "flow": {
                **ALERT["flow"],
                "src_ip": "192.0.2.9",
                "src_port": 443,
                "dest_ip": "172.18.0.2",
                "dest_port": 52526,
            }
        },
    ],
)
def test_where_an_alert_says_who_began_the_flow_that_is_the_client(more: dict[str, Any]) -> None:
    record, connection = decoded({**ALERT, **more}), connection_of({**ALERT, **more})
    for each in (record.event, connection):
        assert (each.client_ip, each.client_port) == ("192.0.2.9", 443)
        assert (each.server_ip, each.server_port) == ("172.18.0.2", 52526)
    assert details(record)["src_ip"] == "172.18.0.2"


@pytest.mark.parametrize(
    ("event_type", "said", "kind", "protocol", "data"),
    [
        ("http", {"hostname": "h", "url": "/x", "http_method": "GET"}, "other", "http", "GET h /x"),
        ("tls", {"sni": "example.org"}, "other", "tls", "example.org"),
        ("dns", {"type": "query", "rrname": "example.org"}, "other", "tcp", "example.org"),
        ("dns", {"queries": [{"rrname": "example.org"}]}, "other", "tcp", "example.org"),
        ("ssh", {"client": {"software_version": "Go"}}, "client", "ssh", "Go"),
        ("fileinfo", {"filename": "/a"}, "other", "tcp", "/a"),
        ("anomaly", {"event": "x.y"}, "other", "tcp", "x.y"),
        ("nobody-knows", {"a": 1}, "other", "tcp", ""),
        ("http", ["no object"], "other", "http", ""),
    ],
)
def test_a_record_that_does_not_say_when_its_flow_began_belongs_to_it_all_the_same(
    event_type: str, said: Any, kind: str, protocol: str, data: str
) -> None:
    record = decoded({"timestamp": ALERT["timestamp"], "event_type": event_type, **ADDRESSES, event_type: said})
    event, connection = record.event, record.connection
    assert connection is not None
    assert session_key(connection) == session_key(connection_of(FLOW)) == b'["suricata","","flow/252156359044262"]'
    assert (connection.action, connection.opens, connection.started) == (Action.ACTIVITY, True, None)
    assert connection.first_time == connection.last_time == event.time
    # In its first eight seconds the flow_id tells the second in which the flow began.
    assert event.session_id == connection.session_id == SESSION
    assert event.flags == ["session_guessed"]
    assert connection.protocol == (protocol if protocol != "tcp" else "")
    assert (event.kind, event.category, event.protocol, event.data) == (kind, event_type, protocol, data)
    assert event.client_ip == "172.18.0.2"
    assert details(record)["flow_id"] == ADDRESSES["flow_id"]
    assert details(record)[event_type] == said


@pytest.mark.parametrize(
    ("event_type", "said", "name"),
    [
        ("http", {"hostname": "shop.example", "url": "/"}, "shop.example"),
        ("tls", {"sni": "mail.example"}, "mail.example"),
        ("http", {"hostname": 5}, ""),
        ("tls", {}, ""),
        ("dns", {"rrname": "example.org"}, ""),
    ],
)
def test_the_name_by_which_a_client_asks_for_the_server_is_the_sessions(event_type: str, said: Any, name: str) -> None:
    line = {"timestamp": ALERT["timestamp"], "event_type": event_type, **ADDRESSES, event_type: said}
    assert connection_of(line).server_name == name


@pytest.mark.parametrize(
    ("flow_id", "age", "right"),
    [
        # Since Suricata 7: three bits of the second above 16 of the microsecond and 32 of a hash.
        (252156359044262, 0, True),
        (252156359044262, 7, True),
        (252156359044262, 8, False),
        # Before: 16 bits of the microsecond, 15 of the second and one that is mixed, 20 of a hash.
        ((0xABCDE << 31) | (1731460920 & 0x7FFF) << 16 | 0x1234, 0, True),
        ((0xABCDE << 31) | (1731460920 & 0x7FFF) << 16 | 0x1234, 60, True),
        ((0xABCDE << 31) | (1731460920 & 0x7FFF) << 16 | 0x1234, 61, False),
    ],
)
def test_a_flow_id_tells_when_its_flow_began_while_that_is_young(flow_id: int, age: int, right: bool) -> None:
    time = (1731460920 + age) * 1_000_000 + 999_999
    assert (probable_session_id(flow_id, time) == session_id(flow_id, START)) is right


def test_statistics_belong_to_the_sensor_alone() -> None:
    record = decoded({"timestamp": ALERT["timestamp"], "event_type": "stats", "host": "ids-1", "stats": {"uptime": 5}})
    assert record.event.sensor == "ids-1"
    assert record.connection is None


@pytest.mark.parametrize("part", [None, "x", {}, {"start": "never"}, {"start": 5}, {"end": "2024-11-13T12:22:00Z"}])
def test_a_flow_without_start_and_end_is_an_event(part: Any) -> None:
    record = decoded({**FLOW, "flow": part})
    assert record.connection is None or record.connection.action is Action.ACTIVITY
    assert record.event.kind == "flow"
    assert details(record)["flow"] == part


@pytest.mark.parametrize(
    ("line", "reason", "field"),
    [
        (without(ALERT, "timestamp"), Reason.MISSING_FIELD, "timestamp"),
        (without(ALERT, "event_type"), Reason.MISSING_FIELD, "event_type"),
        ({**ALERT, "event_type": ""}, Reason.BAD_VALUE, "event_type"),
        ({**ALERT, "event_type": 5.5, "timestamp": "x"}, Reason.BAD_TIME, "timestamp"),
        ({"message": json.dumps(without(ALERT, "timestamp"))}, Reason.MISSING_FIELD, "timestamp"),
        ({"message": "hello"}, Reason.MISSING_FIELD, "timestamp"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(line: dict[str, Any], reason: Reason, field: str) -> None:
    rejection = decode_suricata(json.dumps(line).encode())
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == (reason, field)


@pytest.mark.parametrize(("name", "value"), [("src_port", 70000), ("flow_id", -1), ("flow_id", 2**63), ("host", [])])
def test_any_other_field_that_cannot_be_read_stays_in_details(name: str, value: Any) -> None:
    record = decoded({**ALERT, name: value})
    assert record.event.flags == ["field_unread"]
    assert details(record)[name] == value
