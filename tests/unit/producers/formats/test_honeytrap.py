"""Honeytrap's Kafka messages, and the sessions they become."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from producers.formats import DECODERS, Decoded, Rejection, Source
from producers.formats.honeytrap import decode_honeytrap
from producers.formats.xid import second_of
from schemas.dead_letters import Reason
from schemas.records import Action, Connection, EndReason, Session, Tick, session_key
from schemas.settings import Sessions
from schemas.times import MINUTE, SECOND
from stream_processors.machine.limits import limits_of
from stream_processors.machine.sessionizer import Sessionizer
from stream_processors.route import plan

SAMPLES = Path(__file__).parents[3] / "data" / "honeytrap-constructed.jsonl"
SENSOR = "services/c70pl0009au1u00i6fvg"
XID = "c70pmcg09au1u00i6g00"
BORN = 1_640_078_130 * SECOND

SSH: dict[str, Any] = {
    "category": "ssh",
    "date": "2021-12-21T10:15:33.402118231+01:00",
    "destination-ip": "10.0.0.5",
    "destination-port": 8022,
    "sensor": "services",
    "source-ip": "203.0.113.7",
    "source-port": 49269,
    "ssh.password": "123456",
    "ssh.sessionid": XID,
    "ssh.username": "root",
    "token": "c70pl0009au1u00i6fvg",
    "type": "password-authentication",
}
REDIS = {
    **{name: SSH[name] for name in SSH if not name.startswith("ssh.")},
    "category": "redis",
    "redis.command": "CONFIG",
    "type": "redis-command",
}


def decoded(message: dict[str, Any]) -> Decoded:
    records = decode_honeytrap(json.dumps(message).encode())
    assert not isinstance(records, Rejection), records
    [record] = records
    return record


def connection_of(message: dict[str, Any]) -> Connection:
    connection = decoded(message).connection
    assert connection is not None
    return connection


def test_an_xid_says_when_it_was_made() -> None:
    assert second_of("bf8uk9004acg7v8p3ijg") == 1_540_483_620  # 2018-10-25T16:07:00Z
    assert second_of(XID) * SECOND == BORN  # type: ignore[operator]
    for text in ("", "bf8uk9004acg7v8p3ij", "bf8uk9004acg7v8p3ijz", "BF8UK9004ACG7V8P3IJG"):
        assert second_of(text) is None


def test_an_event_of_a_service_opens_the_session_that_began_when_its_id_was_made() -> None:
    record, connection = decoded(SSH), connection_of(SSH)
    event = record.event
    assert (connection.action, connection.opens) == (Action.ACTIVITY, True)
    assert (connection.first_time, connection.last_time) == (BORN, BORN + 3_402_118)
    for each in (event, connection):
        assert (each.sensor, each.session_id, each.token) == (SENSOR, XID, SSH["token"])
        assert (each.protocol, each.category, each.user) == ("ssh", "ssh", "root")
        assert (each.client_ip, each.client_port) == ("203.0.113.7", 49269)
        assert (each.server_ip, each.server_port) == ("10.0.0.5", 8022)
    assert (event.kind, event.type) == ("login", 51)
    assert json.loads(bytes(event.details)) == {
        "ssh.password": "123456",
        "ssh.sessionid": XID,
        "ssh.username": "root",
        "type": "password-authentication",
    }


@pytest.mark.parametrize(
    ("more", "kind", "data"),
    [
        ({"type": "ssh-channel", "ssh.command": "uname -a"}, "command", "uname -a"),
        ({"type": "ssh-channel", "ssh.direct-tcpip.host-to-connect": "h", "ssh.channel-type": "x"}, "forward", "x"),
        ({"type": "ssh-request", "ssh.request-type": "pty-req"}, "other", "pty-req"),
        ({"type": "ssh-session", "ssh.recording": "x"}, "close", "ssh-session"),
        ({"type": "exec", "ssh.command": "id"}, "command", "id"),
        ({"category": "http", "type": "request", "http.method": "GET", "http.url": "/a"}, "other", "GET /a"),
        ({"category": "docker", "type": "request", "http.method": "GET", "http.url": "/a"}, "other", "GET /a"),
        ({"category": "telnet", "type": "connect"}, "connect", "connect"),
        ({"category": "ftp", "type": None, "ftp.command": "USER"}, "command", "USER"),
        ({"type": "error", "message": "no"}, "error", "no"),
    ],
)
def test_kinds_and_what_is_said(more: dict[str, Any], kind: str, data: str) -> None:
    event = decoded({**SSH, **more}).event
    assert (event.kind, event.data) == (kind, data)
    assert event.session_id == XID


def test_without_an_id_the_addresses_name_the_session() -> None:
    connection = connection_of(REDIS)
    key = json.dumps([SENSOR, "redis", "203.0.113.7:49269", "10.0.0.5:8022"], separators=(",", ":"))
    assert session_key(connection) == key.encode()
    assert connection.first_time == connection.time


def test_the_few_closers_close() -> None:
    closing = connection_of({**SSH, "type": "ssh-session"})
    assert (closing.action, closing.opens, closing.started) == (Action.DISCONNECT, False, BORN)
    unbind = connection_of({**REDIS, "category": "ldap", "type": "", "ldap.request-type": "unbind"})
    assert unbind.action is Action.DISCONNECT
    assert decoded({**REDIS, "category": "ldap", "type": "", "ldap.request-type": "bind"}).event.kind == "other"


def test_vnc_says_connect_where_others_say_their_name() -> None:
    connection = connection_of({**REDIS, "sensor": "vnc", "category": "connect", "type": "connect"})
    assert (connection.action, connection.protocol) == (Action.CONNECT, "vnc")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"sensor": "canary", "category": "portscan", "portscan.ports": ["tcp/22"], "source-ip": "192.0.2.1"}, "alert"),
        ({"sensor": "honeytrap", "category": "heartbeat", "sequence": 7}, "ping"),
        ({"sensor": "services"}, "other"),
    ],
)
def test_what_is_about_no_single_connection_stands_alone(message: dict[str, Any], kind: str) -> None:
    record = decoded({"date": SSH["date"], **message})
    assert record.alone
    assert record.connection is None
    assert record.event.kind == kind


@pytest.mark.parametrize("born", ["00000000000000000000", "vvvvvvvvvvvvvvvvvvvv", "no xid"])
def test_an_id_that_cannot_be_of_this_connection_says_nothing_about_its_start(born: str) -> None:
    connection = connection_of({**SSH, "ssh.sessionid": born})
    assert connection.session_id == born
    assert connection.first_time == connection.time


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (b'"date"', Reason.NOT_AN_OBJECT, ""),
        (b"null", Reason.NOT_AN_OBJECT, ""),
        (b'{"sensor":"services"}', Reason.MISSING_FIELD, "date"),
        (b'{"sensor":"services","date":"today"}', Reason.BAD_TIME, "date"),
        (b'{"date":"2021-12-21T10:15:33Z"}', Reason.MISSING_FIELD, "sensor"),
        (b'{"date":"2021-12-21T10:15:33Z","sensor":""}', Reason.BAD_VALUE, "sensor"),
        (b"{", Reason.NOT_JSON, ""),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(value: bytes, reason: Reason, field: str) -> None:
    rejection = decode_honeytrap(value)
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == (reason, field)


class _Message:
    """A message as the worker reads it."""

    key = None
    timestamp = 1_640_078_200_000
    headers: tuple[tuple[str, bytes], ...] = ()

    def __init__(self, offset: int, value: bytes) -> None:
        self.offset = offset
        self.value = value


def sessions_of(lines: list[bytes], reach: int) -> dict[str, Session]:
    """What the worker makes of the messages: decoder, route, session machine; by protocol."""
    messages = [_Message(offset, line) for offset, line in enumerate(lines)]
    routed = plan(messages, DECODERS["honeytrap"], Source("e", "sensor.native.honeytrap", 0), 1000)
    assert not routed.letters
    machine = Sessionizer(limits_of(Sessions()))
    found: dict[str, Session] = {}
    for offset, (key, connection) in zip(count(), routed.connections, strict=False):
        assert key is not None
        machine.apply(key, connection, _Message.timestamp * 1000, offset)
    found.update({one.protocol: one for one in machine.take_changes()})
    machine.tick(Tick(source="e/t/0", caught_up=True, sensors={SENSOR: reach}), _Message.timestamp * 1000)
    found.update({one.protocol: one for one in machine.take_changes()})
    return found


def test_from_messages_to_sessions_that_silence_ends() -> None:
    lines = SAMPLES.read_bytes().splitlines()
    opened = sessions_of(lines, BORN + MINUTE)
    assert {name: one.end_reason for name, one in opened.items()} == dict.fromkeys(
        ("ssh", "telnet", "http", "redis"), EndReason.NONE
    )
    closed = sessions_of(lines, BORN + 200 * MINUTE)
    assert {one.end_reason for one in closed.values()} == {EndReason.IDLE_TIMEOUT}
    ssh = closed["ssh"]
    assert (ssh.session_id, ssh.started_at, ssh.event_count, ssh.user) == (XID, BORN, 2, "root")
    assert ssh.ended_at == ssh.last_activity_at == BORN + 11_118_002
    assert sessions_of(lines[::-1], BORN + 200 * MINUTE)["ssh"].started_at == BORN


def test_a_closer_ends_the_session_exactly() -> None:
    closing = {**SSH, "type": "ssh-session", "date": "2021-12-21T10:16:33+01:00"}
    lines = [json.dumps(message).encode() for message in (SSH, closing)]
    for some in (lines, lines[::-1]):
        session = sessions_of(some, BORN + MINUTE)["ssh"]
        assert (session.started_at, session.ended_at) == (BORN, BORN + 63 * SECOND)
        assert (session.end_reason, session.event_count) == (EndReason.DISCONNECT, 2)
