"""OpenSSH's server in journald's JSON and in every form of syslog."""

import json
from pathlib import Path
from typing import Any

import pytest

from producers.formats import DECODERS, Decoded, Rejection, Source, decode
from producers.formats.sshd import decode_sshd
from schemas.dead_letters import Reason
from schemas.records import Action, Session, session_key
from schemas.settings import Sessions
from schemas.times import SECOND, to_datetime
from stream_processors.machine.limits import limits_of
from stream_processors.machine.sessionizer import Sessionizer

TEN = 1_795_341_600 * SECOND  # 2026-11-22T10:00:00Z
SOURCE = Source("e", "sensor.native.sshd", 0)
JOURNAL: dict[str, Any] = {
    "__REALTIME_TIMESTAMP": str(TEN),
    "_BOOT_ID": "b1",
    "_PID": "1234",
    "_HOSTNAME": "gate",
    "SYSLOG_IDENTIFIER": "sshd",
    "PRIORITY": "6",
}
ACCEPTED = "Accepted publickey for bob from 192.0.2.77 port 51234 ssh2: ED25519 SHA256:abc"
OPENED = "pam_unix(sshd:session): session opened for user bob(uid=1000) by (uid=0)"
CLOSED = "pam_unix(sshd:session): session closed for user bob"


def decoded(line: str) -> Decoded:
    records = decode_sshd(line.encode())
    assert not isinstance(records, Rejection), records
    [record] = records
    return record


def journal(message: Any, **more: Any) -> str:
    return json.dumps({**JOURNAL, "MESSAGE": message, **more})


@pytest.mark.parametrize(
    ("message", "kind", "action", "user", "client"),
    [
        ("Connection from 192.0.2.1 port 5 on 10.0.0.1 port 22", "client", Action.CONNECT, "", "192.0.2.1"),
        (ACCEPTED, "login.success", Action.ACTIVITY, "bob", "192.0.2.77"),
        ("Accepted password for a from b from ::1 port 5 ssh2", "login.success", Action.ACTIVITY, "a from b", "::1"),
        ("Failed password for root from 192.0.2.1 port 5 ssh2", "login.failed", Action.ACTIVITY, "root", "192.0.2.1"),
        ("Failed none for invalid user x from ::1 port 5 ssh2", "login.failed", Action.ACTIVITY, "x", "::1"),
        ("Invalid user  from 192.0.2.1 port 5", "client", Action.ACTIVITY, "", "192.0.2.1"),
        (OPENED, "client", Action.ACTIVITY, "bob", ""),
        ("pam_unix(sshd:session): session opened for user bob by (uid=0)", "client", Action.ACTIVITY, "bob", ""),
        (CLOSED, "close", Action.DISCONNECT, "bob", ""),
        ("Disconnected from 192.0.2.1 port 5 [preauth]", "close", Action.DISCONNECT, "", "192.0.2.1"),
        ("Disconnected from authenticating user a ::1 port 5 [preauth]", "close", Action.DISCONNECT, "a", "::1"),
        ("Connection closed by invalid user x ::1 port 5 [preauth]", "close", Action.DISCONNECT, "x", "::1"),
        ("Connection reset by 192.0.2.1 port 5 [preauth]", "close", Action.DISCONNECT, "", "192.0.2.1"),
        ("Disconnecting invalid user x ::1 port 5: Too many [preauth]", "close", Action.DISCONNECT, "x", "::1"),
        ("Received disconnect from 192.0.2.1 port 5:11: Bye [preauth]", "client", Action.ACTIVITY, "", "192.0.2.1"),
        ("Disconnected from user bob 192.0.2.1 port 5", "client", None, "bob", "192.0.2.1"),
        ("Received disconnect from 192.0.2.1 port 5:11: disconnected by user", "client", None, "", "192.0.2.1"),
        ("Server listening on 0.0.0.0 port 22.", "service.start", None, "", ""),
        ("error: kex_exchange_identification: Connection closed by remote host", "other", None, "", ""),
        ("Failed password for root from 192.0.2.1 port 99999 ssh2", "other", None, "", ""),
    ],
)  # fmt: skip
def test_messages(message: str, kind: str, action: Action | None, user: str, client: str) -> None:
    record = decoded(journal(message))
    assert (record.event.kind, record.event.user, record.event.client_ip) == (kind, user, client)
    assert record.event.data == message
    assert (record.connection.action if record.connection else None) == action
    assert record.alone is (action is None)
    if record.connection:
        assert session_key(record.connection) == b'["gate","ssh","b1/1234"]'
        assert record.connection.user == user


def test_a_login_says_how_it_went() -> None:
    connection = decoded(journal(ACCEPTED)).connection
    assert connection is not None
    assert connection.attributes == {"login": "success", "method": "publickey"}
    assert json.loads(bytes(decoded(journal(ACCEPTED)).event.details)) == {
        "_PID": "1234",
        "SYSLOG_IDENTIFIER": "sshd",
        "PRIORITY": "6",
    }


@pytest.mark.parametrize(
    ("line", "time"),
    [
        (f"Nov 22 10:00:00 gate sshd[1234]: {ACCEPTED}", TEN),
        (f"<38>Nov 22 10:00:00 gate sshd-session[1234]: {ACCEPTED}", TEN),
        (f"2026-11-22T11:00:00.500000+01:00 gate sshd[1234]: {ACCEPTED}", TEN + 500_000),
        (f"2026-11-22T11:00:00+0100 gate sshd[1234]: {ACCEPTED}", TEN),
        (f"<38>1 2026-11-22T10:00:00.000001Z gate sshd 1234 - - {ACCEPTED}", TEN + 1),
        (f'<38>1 2026-11-22T10:00:00Z gate sshd 1234 ID1 [a@1 b="\\]"][c@1] {ACCEPTED}', TEN),
    ],
)
def test_every_form_of_syslog(line: str, time: int) -> None:
    records = decode(decode_sshd, line.encode(), 1, TEN + 5 * SECOND, SOURCE)
    assert not isinstance(records, Rejection)
    [record] = records
    assert record.connection is not None
    assert (record.event.time, record.event.sensor, record.event.user) == (time, "gate", "bob")
    assert (record.connection.time, record.connection.first_time) == (time, time)
    assert session_key(record.connection) == b'["gate","ssh","1234"]'


@pytest.mark.parametrize(
    ("written", "broker", "year"),
    [
        ("Nov 22 10:00:00", TEN, 2026),
        ("Nov 23 09:00:00", TEN, 2026),
        ("Nov 24 10:00:00", TEN, 2025),
        ("Dec 31 23:59:59", TEN, 2025),
        ("Feb 29 10:00:00", TEN, 2024),
        ("Jan  1 00:00:00", TEN, 2026),
    ],
)
def test_a_time_without_a_year_is_the_latest_that_can_be(written: str, broker: int, year: int) -> None:
    records = decode(decode_sshd, f"{written} gate sshd[1]: x".encode(), 1, broker, SOURCE)
    assert not isinstance(records, Rejection)
    assert records[0].event.flags == ["year_guessed"]
    assert to_datetime(records[0].event.time).year == year


def test_bytes_that_are_no_text_come_as_numbers() -> None:
    assert decoded(journal([105, 100, 255])).event.data == "id\ufffd"
    assert decoded(journal(["first", "last"])).event.data == "last"


def test_other_programs_are_events() -> None:
    record = decoded("Nov 22 10:00:00 gate CRON[1]: pam_unix(cron:session): session opened for user root")
    assert (record.event.kind, record.event.category, record.alone) == ("other", "CRON", True)


def test_a_line_without_a_message_is_an_event() -> None:
    record = decoded("<38>1 2026-11-22T10:00:00Z gate sshd 1234 - -")
    assert (record.event.data, record.event.kind, record.alone) == ("", "other", True)


def sessions_of(lines: list[str]) -> list[Session]:
    machine = Sessionizer(limits_of(Sessions()))
    for offset, line in enumerate(lines):
        records = decode(DECODERS["sshd"], line.encode(), offset, TEN + 3600 * SECOND, SOURCE)
        assert not isinstance(records, Rejection)
        for record in records:
            if record.connection:
                machine.apply(session_key(record.connection), record.connection, TEN, offset)
    changes = machine.take_changes()
    return sorted(
        {one.session_id: one for one in changes if not one.removed}.values(), key=lambda one: one.started_at or 0
    )


def test_a_login_and_its_end_are_a_session_as_long_as_it_lasted() -> None:
    times = {ACCEPTED: TEN, OPENED: TEN + 50_000, CLOSED: TEN + 61_050_123}
    [session] = sessions_of([journal(text, __REALTIME_TIMESTAMP=str(time)) for text, time in times.items()])
    assert (session.duration, session.event_count, session.user) == (61.050123, 3, "bob")
    assert (session.client_ip, session.client_port, session.protocol) == ("192.0.2.77", 51234, "ssh")


def test_a_process_number_of_syslog_that_is_used_again_is_another_session() -> None:
    lines = [
        f"Nov 22 {clock} gate sshd[77]: {text}"
        for clock, text in [("08:00:00", ACCEPTED), ("08:00:00", CLOSED), ("09:00:00", ACCEPTED), ("09:00:07", CLOSED)]
    ]
    assert [one.duration for one in sessions_of(lines)] == [0.0, 7.0]


@pytest.mark.parametrize(
    ("line", "reason", "field"),
    [
        ("nonsense", Reason.NOT_JSON, ""),
        ("Foo 22 10:00:00 gate sshd[1]: x", Reason.BAD_TIME, "time"),
        ("Nov 31 10:00:00 gate sshd[1]: x", Reason.BAD_TIME, "time"),
        ("2026-13-22T10:00:00Z gate sshd[1]: x", Reason.BAD_TIME, "time"),
        ("{}", Reason.MISSING_FIELD, "__REALTIME_TIMESTAMP"),
        ('{"__REALTIME_TIMESTAMP":"soon","_HOSTNAME":"a"}', Reason.BAD_TIME, "__REALTIME_TIMESTAMP"),
        ('{"__REALTIME_TIMESTAMP":"5"}', Reason.MISSING_FIELD, "_HOSTNAME"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(line: str, reason: Reason, field: str) -> None:
    rejection = decode_sshd(line.encode())
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == (reason, field)


def test_the_samples_are_lines_of_a_real_form() -> None:
    lines = (Path(__file__).parents[3] / "data" / "formats" / "sshd.txt").read_text().splitlines()
    assert [decoded(line).event.sensor for line in lines] == ["gate"] * len(lines)
