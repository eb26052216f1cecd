"""Our own records as sensors may write them: one row per way."""

import json
from typing import Any

import pytest

from producers.formats import Rejection
from producers.formats.sojourn import decode_connection, decode_event
from schemas.dead_letters import Reason
from schemas.records import Action, Connection, Event

TEN = 1_795_341_600_000_000  # 2026-11-22T10:00:00Z

EVENT = {"sensor": "ssh-01", "time": "2026-11-22T10:00:00Z"}
CONNECTION = {"action": "connect", "sensor": "ssh-01", "time": "2026-11-22T10:00:00Z", "session_id": "s1"}


def event_of(fields: dict[str, Any] | bytes) -> Event:
    value = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    decoded = decode_event(value)
    assert not isinstance(decoded, Rejection), decoded
    assert len(decoded) == 1
    assert decoded[0].connection is None
    return decoded[0].event


def connection_of(fields: dict[str, Any]) -> tuple[Event, Connection]:
    decoded = decode_connection(json.dumps(fields).encode())
    assert not isinstance(decoded, Rejection), decoded
    [record] = decoded
    assert record.connection is not None
    return record.event, record.connection


def details(event: Event) -> dict[str, Any]:
    read = json.loads(bytes(event.details))
    assert isinstance(read, dict)
    return read


@pytest.mark.parametrize(
    ("written", "micros"),
    [
        ("2026-11-22T10:00:00Z", TEN),
        ("2026-11-22T10:00:00.000001Z", TEN + 1),
        ("2026-11-22T10:00:00.5Z", TEN + 500_000),
        ("2026-11-22T12:00:00+02:00", TEN),
        ("2026-11-22T05:00:00-0500", TEN),
        ("2026-11-22T10:00:00", TEN),
        ("2026-11-22 10:00:00", TEN),
        ("2026-11-22t10:00:00z", TEN),
        ("2026-11-22", TEN - 36_000_000_000),
        ("1969-12-31T23:59:59Z", -1_000_000),
        (1_795_341_600, TEN),
        (1_795_341_600.25, TEN + 250_000),
        (0, 0),
    ],
)
def test_a_time_is_rfc_3339_or_seconds_and_utc_without_a_zone(written: object, micros: int) -> None:
    assert event_of({**EVENT, "time": written}).time == micros
    assert event_of({**EVENT, "ended": written}).ended == micros
    assert connection_of({**CONNECTION, "time": written})[1].time == micros


def test_every_field_arrives_as_it_was_sent() -> None:
    texts = {
        name: f"the {name}"
        for name in (
            *("session_id", "token", "location", "category", "client_ip", "server_ip", "mac", "user", "data"),
            *("content", "action", "channel_id", "container_id", "record_id"),
        )
    }
    sent = {**EVENT, **texts, "client_port": 1, "server_port": 65535, "type": 41, "flags": ["odd"], "details": {"a": 1}}
    event = event_of(sent)
    for name, value in texts.items():
        assert getattr(event, name) == value
    assert (event.client_port, event.server_port, event.type, event.flags) == (1, 65535, 41, ["odd"])
    assert bytes(event.details) == b'{"a": 1}'


def test_kind_and_protocol_are_lower_case_and_a_missing_kind_is_other() -> None:
    event = event_of({**EVENT, "kind": "Login.Success", "protocol": "SSH"})
    assert (event.kind, event.protocol) == ("login.success", "ssh")
    assert event_of(EVENT).kind == "other"
    assert event_of({**EVENT, "kind": ""}).kind == "other"


@pytest.mark.parametrize(
    ("sent", "field", "value"),
    [
        ({"client_port": "22"}, "client_port", 22),
        ({"client_port": 22.0}, "client_port", 22),
        ({"client_port": None}, "client_port", 0),
        ({"user": None}, "user", ""),
        ({"user": 123}, "user", "123"),
        ({"session_id": 1234567890123456789}, "session_id", "1234567890123456789"),
        ({"type": "51"}, "type", 51),
        ({"started": None}, "started", None),
        ({"flags": "odd"}, "flags", ["odd"]),
        ({"flags": None}, "flags", []),
    ],
)
def test_what_is_meant_is_understood(sent: dict[str, Any], field: str, value: object) -> None:
    assert getattr(event_of({**EVENT, **sent}), field) == value


@pytest.mark.parametrize(
    ("sent", "reason", "field", "expected"),
    [
        ({"sensor": ""}, Reason.BAD_VALUE, "sensor", "text that is not empty"),
        ({"sensor": None}, Reason.MISSING_FIELD, "sensor", "text that is not empty"),
        ({"sensor": ["a"]}, Reason.WRONG_TYPE, "sensor", "text that is not empty"),
        ({"time": None}, Reason.MISSING_FIELD, "time", "RFC 3339 text or seconds since 1970"),
        ({"time": "soon"}, Reason.BAD_TIME, "time", "RFC 3339 text or seconds since 1970"),
        ({"time": True}, Reason.WRONG_TYPE, "time", "RFC 3339 text or seconds since 1970"),
        ({"time": [1]}, Reason.WRONG_TYPE, "time", "RFC 3339 text or seconds since 1970"),
        ({"time": 10**30}, Reason.BAD_TIME, "time", "RFC 3339 text or seconds since 1970"),
        ({"started": 1e12}, Reason.BAD_TIME, "started", "RFC 3339 text or seconds since 1970"),
        ({"ended": "2026-13-01T00:00:00Z"}, Reason.BAD_TIME, "ended", "RFC 3339 text or seconds since 1970"),
        ({"client_port": 65536}, Reason.BAD_VALUE, "client_port", "a whole number from 0 to 65535"),
        ({"client_port": -1}, Reason.BAD_VALUE, "client_port", "a whole number from 0 to 65535"),
        ({"client_port": 22.5}, Reason.WRONG_TYPE, "client_port", "a whole number from 0 to 65535"),
        ({"server_port": "ssh"}, Reason.WRONG_TYPE, "server_port", "a whole number from 0 to 65535"),
        ({"server_port": "--2"}, Reason.WRONG_TYPE, "server_port", "a whole number from 0 to 65535"),
        ({"server_port": True}, Reason.WRONG_TYPE, "server_port", "a whole number from 0 to 65535"),
        ({"type": 2**31}, Reason.BAD_VALUE, "type", "a whole number from -2147483648 to 2147483647"),
        ({"user": ["root"]}, Reason.WRONG_TYPE, "user", "text"),
        ({"user": True}, Reason.WRONG_TYPE, "user", "text"),
        ({"details": [1]}, Reason.WRONG_TYPE, "details", "a JSON object"),
        ({"details": "text"}, Reason.WRONG_TYPE, "details", "a JSON object"),
        ({"flags": {"a": 1}}, Reason.WRONG_TYPE, "flags", "a list of texts"),
        ({"flags": [1]}, Reason.WRONG_TYPE, "flags", "a list of texts"),
    ],
)
def test_a_bad_field_is_named_with_what_was_expected(
    sent: dict[str, Any], reason: Reason, field: str, expected: str
) -> None:
    assert decode_event(json.dumps({**EVENT, **sent}).encode()) == Rejection(reason, field, expected)


def test_details_that_are_null_are_an_empty_object() -> None:
    assert details(event_of({**EVENT, "details": None})) == {}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"  ", Reason.NOT_JSON),
        (b"hello", Reason.NOT_JSON),
        (b'{"sensor":"a","time":1', Reason.NOT_JSON),
        (b'{"sensor":"a","time":1} {}', Reason.NOT_JSON),
        (b'{"sensor":"a","time":NaN}', Reason.NOT_JSON),
        (b'{"sensor":"a","time":1,"details":' + b"[" * 100_000 + b"]" * 100_000 + b"}", Reason.NOT_JSON),
        (b"[]", Reason.NOT_AN_OBJECT),
        (b"null", Reason.NOT_AN_OBJECT),
        (b'"text"', Reason.NOT_AN_OBJECT),
        (b'{"sensor":"\xff","time":1}', Reason.NOT_UTF8),
        (b'{"sensor":"a","time":1,"details":{"a":"\xc3"}}', Reason.NOT_UTF8),
        (b'{"sensor":"a","time":1,"\xfe":1}', Reason.NOT_UTF8),
    ],
)
def test_what_is_no_json_object_in_utf_8_is_refused_as_that(value: bytes, reason: Reason) -> None:
    for decoder in (decode_event, decode_connection):
        rejection = decoder(value)
        assert isinstance(rejection, Rejection)
        assert (rejection.reason, rejection.field) == (reason, "")
        assert rejection.expected


def test_fields_we_do_not_know_are_kept_in_details_as_they_were_written() -> None:
    value = b'{"sensor":"a","time":1,"rate":1e999,"id":123456789012345678901234567890,"nested":{"b":[1, 2]}}'
    event = event_of(value)
    assert bytes(event.details) == b'{"rate":1e999,"id":123456789012345678901234567890,"nested":{"b":[1, 2]}}'


def test_fields_we_do_not_know_join_the_details_that_were_sent_and_take_no_name_from_them() -> None:
    event = event_of({**EVENT, "details": {"a": 1, "b": 2}, "a": 3, "c": 4, "client_port": "7"})
    assert details(event) == {"a": 1, "b": 2, "sojourn.field.a": 3, "c": 4}
    assert event.client_port == 7


def test_a_sensor_cannot_say_where_in_the_log_its_record_stands() -> None:
    event = event_of({**EVENT, "offset": 7, "index": 3})
    assert (event.offset, event.index) == (0, 0)
    assert details(event) == {"offset": 7, "index": 3}
    event, connection = connection_of({**CONNECTION, "source": "x", "positions": [1]})
    assert (connection.source, connection.positions) == ("", [])
    assert details(event) == {"action": "connect", "source": "x", "positions": [1]}


def test_half_a_surrogate_pair_becomes_the_replacement_character_and_is_flagged() -> None:
    event = event_of(rb'{"sensor":"a","time":1,"data":"x\udc80y \ud83d\ude00 \\ud800"}')
    assert event.data == "x\N{REPLACEMENT CHARACTER}y \N{GRINNING FACE} \\ud800"
    assert event.flags == ["text_replaced"]


def test_of_a_name_that_comes_twice_the_last_counts() -> None:
    assert event_of(b'{"sensor":"a","time":1,"sensor":"b"}').sensor == "b"
    assert event_of(b'{"sensor":"a","time":1,"client_port":"5","client_port":"6"}').client_port == 6


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ({"action": "connect"}, "connect"),
        ({"action": "Connect"}, "connect"),
        ({"action": "disconnect"}, "close"),
        ({"action": "complete", "started": 1}, "flow"),
        ({"action": "activity"}, "other"),
        ({"action": "annotate"}, "other"),
        ({"action": "amend", "amend": {"paused": True}}, "other"),
        ({"action": "remove"}, "other"),
        ({"action": "sensor_start", "boot_id": "b"}, "service.start"),
        ({"action": "connect", "kind": "New Device"}, "connect"),
        ({"action": "connect", "mac": "aa:bb", "kind": "New Device"}, "device.new"),
        ({"action": "connect", "mac": "aa:bb", "kind": "CONNECTED"}, "device.up"),
        ({"action": "connect", "mac": "aa:bb", "kind": "Down Reconnected"}, "device.up"),
        ({"action": "disconnect", "mac": "aa:bb", "kind": "Device Down"}, "device.down"),
        ({"action": "disconnect", "mac": "aa:bb", "kind": "Disconnected"}, "device.lost"),
        ({"action": "activity", "mac": "aa:bb", "kind": "IP Changed"}, "device.ip"),
        ({"action": "activity", "mac": "aa:bb", "kind": "VOIDED - Connected"}, "device.voided"),
        ({"action": "connect", "mac": "aa:bb", "kind": "something else"}, "connect"),
        ({"action": "complete", "started": 1, "mac": "aa:bb", "kind": "Connected"}, "flow"),
    ],
)
def test_a_connection_record_is_an_event_too_whose_kind_says_what_happened(sent: dict[str, Any], kind: str) -> None:
    event, connection = connection_of({**CONNECTION, **sent})
    assert event.kind == kind
    assert connection.action == Action(sent["action"].lower())
    assert connection.kind == sent.get("kind", "")
    assert event.data == connection.kind


def test_the_event_of_a_connection_has_its_fields_and_in_details_those_no_event_has() -> None:
    sent = {
        **CONNECTION,
        "protocol": "SSH",
        "client_ip": "192.0.2.77",
        "client_port": 1000,
        "client_name": "evil.example",
        "server_ip": "198.51.100.7",
        "server_port": 22,
        "server_name": "web",
        "user": "root",
        "user_id": "0",
        "server_user": "admin",
        "token": "t",
        "location": "lab",
        "category": "c",
        "container_id": "d",
        "record_id": "mine",
        "attributes": {"verdict": "bad", "score": 5},
        "extra": [1],
    }
    event, connection = connection_of(sent)
    for name in ("sensor", "time", "session_id", "protocol", "client_ip", "client_port", "server_ip", "user", "token"):
        assert getattr(event, name) == getattr(connection, name), name
    assert event.protocol == "ssh"
    assert (event.location, event.category, event.container_id, event.record_id) == ("lab", "c", "d", "mine")
    assert connection.attributes == {"verdict": "bad", "score": "5"}
    assert details(event) == {
        "extra": [1],
        "action": "connect",
        "client_name": "evil.example",
        "server_name": "web",
        "user_id": "0",
        "server_user": "admin",
        "attributes": {"verdict": "bad", "score": "5"},
    }


def test_activity_counts_at_its_own_time_and_complete_ends_at_its_time_unless_they_say_otherwise() -> None:
    _, activity = connection_of({**CONNECTION, "action": "activity"})
    assert (activity.first_time, activity.last_time) == (TEN, TEN)
    _, complete = connection_of({**CONNECTION, "action": "complete", "started": 5})
    assert (complete.started, complete.ended) == (5_000_000, TEN)
    _, complete = connection_of({**CONNECTION, "action": "complete", "started": 5, "ended": 7})
    assert complete.ended == 7_000_000


@pytest.mark.parametrize(
    ("sent", "reason", "field"),
    [
        ({"action": None}, Reason.MISSING_FIELD, "action"),
        ({"action": "explode"}, Reason.BAD_VALUE, "action"),
        ({"action": 5}, Reason.WRONG_TYPE, "action"),
        ({"session_id": ""}, Reason.MISSING_FIELD, "session_id"),
        ({"action": "complete"}, Reason.MISSING_FIELD, "started"),
        ({"action": "sensor_start"}, Reason.MISSING_FIELD, "boot_id"),
        ({"last_time": "later"}, Reason.BAD_TIME, "last_time"),
        ({"first_time": 1e13}, Reason.BAD_TIME, "first_time"),
        ({"opens": "yes"}, Reason.WRONG_TYPE, "opens"),
        ({"attributes": ["a"]}, Reason.WRONG_TYPE, "attributes"),
        ({"client_port": 1e9}, Reason.BAD_VALUE, "client_port"),
    ],
)
def test_a_connection_record_that_cannot_be_used_names_the_field(
    sent: dict[str, Any], reason: Reason, field: str
) -> None:
    rejection = decode_connection(json.dumps({**CONNECTION, **sent}).encode())
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == (reason, field)
    assert rejection.expected


def test_a_sensor_start_needs_no_connection() -> None:
    event, connection = connection_of(
        {"action": "sensor_start", "sensor": "a", "time": 1, "boot_id": "b1", "session_id": ""}
    )
    assert connection.boot_id == "b1"
    assert details(event) == {"action": "sensor_start", "boot_id": "b1"}
