"""A session of plain records is, by the short ways, the session the machine comes to by the long one."""

from contextlib import suppress

import msgspec
import pytest

from schemas.metrics import Counters
from schemas.records import Action, Amendment, Connection, Session, session_key
from schemas.settings import Settings
from schemas.times import SECOND
from stream_processors.machine.limits import limits_of
from stream_processors.machine.plain_sessions import PlainConnection, PlainSession
from stream_processors.machine.sessionizer import Sessionizer

_START = 1_795_309_467_000_000
_SOURCE = "e/sensor.connections/0"


def opening(**other: object) -> Connection:
    fields: dict[str, object] = {
        "action": Action.CONNECT,
        "sensor": "lab",
        "time": _START,
        "session_id": "s1",
        "protocol": "ssh",
        "client_ip": "198.51.100.7",
        "client_port": 4711,
        "server_ip": "192.0.2.1",
        "server_port": 22,
        "token": "t",
        "kind": "open",
        "record_id": "r1",
        "source": _SOURCE,
        "positions": [65_536],
    }
    return msgspec.convert({**fields, **other}, Connection)


def closing(**other: object) -> Connection:
    return opening(
        **{
            "action": Action.DISCONNECT,
            "time": _START + 2_500_000,
            "kind": "close",
            "record_id": "r2",
            "positions": [131_072],
            **other,
        }
    )


def machine() -> Sessionizer:
    return Sessionizer(limits_of(Settings().sessions))


WAYS = ("at once", "after each", "by objects")


def last_version(records: list[Connection], way: str) -> tuple[Session, Counters]:
    """``way``: versions are taken at the end only; after each record, so that nothing is short; or every record is read
    as one that may say anything."""
    sessions = machine()
    versions: list[Session] = []
    for number, record in enumerate(records):
        copy = msgspec.structs.replace(record, positions=list(record.positions))
        now = _START + number * SECOND
        if way == "by objects" or not sessions.take(session_key(copy), msgspec.json.encode(copy), now):
            sessions.apply(session_key(copy), copy, now, number)
        if way != "at once":
            versions += sessions.take_changes()
    versions += sessions.take_changes()
    return max(versions, key=lambda version: version.revision), sessions.counters


@pytest.mark.parametrize(
    "records",
    [
        [opening(), closing()],
        [opening(), closing(time=_START)],
        [opening(kind="", token="", server_ip="", server_port=0), closing(kind="")],
        [opening(positions=[]), closing()],
        [opening(), closing(source="e/other/3", positions=[1])],
        [opening(positions=[65_536, 65_537]), closing()],
        # What follows is more than a short session holds; the way must not matter either.
        [opening(), closing(time=_START - 1)],
        [opening(client_ip=""), closing()],
        [opening(user="root"), closing()],
        [opening(), closing(attributes={"hassh": "x"})],
        [opening(), closing(positions=[1])],
        [opening(), closing(positions=[131_072, 131_073])],
        [opening(), opening(record_id="r0", time=_START - 5, positions=[70_000]), closing()],
        [opening(), opening(action=Action.ACTIVITY, positions=[70_000]), closing()],
        [opening(), closing(), closing(record_id="r3", time=_START + 9_000_000, positions=[140_000])],
        [opening(), closing(), opening(action=Action.ANNOTATE, user="root", positions=[140_000])],
        [opening(), opening(action=Action.REMOVE, time=_START + SECOND), closing()],
        [opening(), opening(action=Action.AMEND, amend=Amendment(paused=True), positions=[140_000]), closing()],
    ],
)
def test_the_way_to_a_session_does_not_matter(records: list[Connection]) -> None:
    short, counters = last_version(records, "at once")
    for way in WAYS[1:]:
        session, counted = last_version(records, way)
        assert session == short, way
        for name in ("connections_applied_total", "sessions_opened_total", "sessions_closed_total"):
            assert counted.values.get(name) == counters.values.get(name), way


@pytest.mark.parametrize(
    "record", [opening(user="root"), opening(attributes={"a": "b"}), opening(process="1"), opening(session_id="")]
)
def test_a_record_that_says_more_is_not_taken(record: Connection) -> None:
    assert not machine().take(session_key(record), msgspec.json.encode(record), _START)


@pytest.mark.parametrize("value", [b"{}", b"7", b'{"action":"connect","sensor":"","time":1,"session_id":"s"}'])
def test_a_record_that_is_wrong_is_not_taken(value: bytes) -> None:
    assert not machine().take(b'["lab","s1"]', value, _START)


@pytest.mark.parametrize("value", [b"", b"{", b'{"action":"connect",'])
def test_a_record_that_is_no_json_is_not_taken(value: bytes) -> None:
    sessions = machine()
    with suppress(msgspec.DecodeError):
        assert not sessions.take(b'["lab","s1"]', value, _START)
    assert not sessions.take_changes()


@pytest.mark.parametrize(("plain", "full"), [(PlainConnection, Connection), (PlainSession, Session)])
def test_plain_structs_read_their_fields_as_the_full_ones_do(
    plain: type[msgspec.Struct], full: type[msgspec.Struct]
) -> None:
    known = {field.name: field for field in msgspec.inspect.type_info(full).fields}  # type: ignore[attr-defined]
    for field in msgspec.inspect.type_info(plain).fields:  # type: ignore[attr-defined]
        other = known[field.name]
        assert _bare(field.type) == _bare(other.type), field.name
        if field.name not in {"action", "sensor", "time", "session_id", "key"}:
            assert (field.default, field.default_factory) == (other.default, other.default_factory), field.name


def _bare(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    return kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind


def test_a_session_that_has_only_begun_is_published_and_ends_later() -> None:
    sessions = machine()
    assert sessions.take(session_key(opening()), msgspec.json.encode(opening()), _START)
    assert len(sessions) == sessions.open_sessions == 1
    [first] = sessions.take_changes()
    assert sessions.take(session_key(closing()), msgspec.json.encode(closing()), _START)
    [second] = sessions.take_changes()

    assert (first.state.value, second.state.value) == ("open", "closed")
    assert sessions.open_sessions == 0


def test_a_restart_of_the_sensor_ends_what_has_only_begun() -> None:
    sessions = machine()
    assert sessions.take(session_key(opening()), msgspec.json.encode(opening()), _START)
    restart = Connection(action=Action.SENSOR_START, sensor="lab", time=_START + SECOND)
    sessions.apply(b"", restart, _START)
    [version] = sessions.take_changes()

    assert version.end_reason.value == "sensor_restart"
