"""A session written from its two records at once is the session the machine comes to step by step."""

import msgspec
import pytest

from schemas.metrics import Counters
from schemas.records import Action, Amendment, Connection, Session, session_key
from schemas.settings import Settings
from schemas.times import SECOND
from stream_processors.machine.limits import limits_of
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


def last_version(records: list[Connection], *, at_once: bool) -> tuple[Session, Counters]:
    """``at_once``: versions are taken at the end only, else after each record, so that nothing is short."""
    sessions = machine()
    versions: list[Session] = []
    for number, record in enumerate(records):
        copy = msgspec.structs.replace(record, positions=list(record.positions))
        sessions.apply(session_key(copy), copy, _START + number * SECOND, number)
        if not at_once:
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
        [opening(), opening(action=Action.AMEND, amend=Amendment(paused=True), positions=[140_000]), closing()],
    ],
)
def test_a_session_that_ends_at_once_is_the_one_that_is_built_step_by_step(records: list[Connection]) -> None:
    quick, quick_counters = last_version(records, at_once=True)
    slow, slow_counters = last_version(records, at_once=False)

    assert quick == slow
    for name in ("connections_applied_total", "sessions_opened_total", "sessions_closed_total"):
        assert quick_counters.values.get(name) == slow_counters.values.get(name)


def test_a_session_that_has_only_begun_is_published_and_ends_later() -> None:
    sessions = machine()
    sessions.apply(session_key(opening()), opening(), _START)
    assert len(sessions) == sessions.open_sessions == 1
    [first] = sessions.take_changes()
    sessions.apply(session_key(closing()), closing(), _START)
    [second] = sessions.take_changes()

    assert (first.state.value, second.state.value) == ("open", "closed")
    assert sessions.open_sessions == 0


def test_a_restart_of_the_sensor_ends_what_has_only_begun() -> None:
    sessions = machine()
    sessions.apply(session_key(opening()), opening(), _START)
    restart = Connection(action=Action.SENSOR_START, sensor="lab", time=_START + SECOND)
    sessions.apply(b"", restart, _START)
    [version] = sessions.take_changes()

    assert version.end_reason.value == "sensor_restart"
