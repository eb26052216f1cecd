"""What comes when its sensor's event time has passed its end is ended at once: the sensor may never speak again."""

import pytest

from schemas.records import Action, Connection, EndReason, State, Tick
from schemas.settings import Sessions
from schemas.times import DAY, HOUR, MINUTE, SECOND
from tests.unit.stream_processors.machine import Machine, activity, amend, at, connect, disconnect

BARE = {"protocol": "tcp", "client_ip": "203.0.113.7", "client_port": 4022, "server_ip": "10.0.0.1", "server_port": 22}


@pytest.mark.parametrize("fields", [{"session_id": "a", "protocol": "tcp"}, {"session_id": "", **BARE}])
def test_a_connect_beyond_the_idle_limit_is_an_idle_timeout_at_once(fields: dict[str, object]) -> None:
    (session,) = Machine().reach(at(20)).feed(connect(at(10), **fields)).sessions
    assert (session.end_reason, session.ended_at) == (EndReason.IDLE_TIMEOUT, at(10))
    assert session.revision == 2 << 56 | at(10) + 5 * MINUTE, "the version of a timer"


@pytest.mark.parametrize("fields", [{"session_id": "a", "protocol": "tcp"}, {"session_id": "", **BARE}])
def test_a_connect_beside_the_tick_that_is_beyond_its_limit_is_an_idle_timeout(fields: dict[str, object]) -> None:
    (session,) = Machine().batch(connect(at(10), record_id="r", **fields), at(20)).sessions
    assert (session.end_reason, session.ended_at) == (EndReason.IDLE_TIMEOUT, at(10))


def test_a_connect_within_the_idle_limit_and_grace_is_open() -> None:
    machine = Machine().reach(at(10) + 10 * MINUTE - SECOND).feed(connect(at(10), protocol="tcp"))
    assert machine.session("a").state is State.OPEN


def test_what_comes_then_corrects_it() -> None:
    machine = Machine().reach(at(20)).feed(connect(at(10), protocol="tcp"), activity(at(10.01), protocol="tcp"))
    session = machine.session("a")
    assert (session.end_reason, session.ended_at) == (EndReason.IDLE_TIMEOUT, at(10.01))
    session = machine.feed(disconnect(at(10.5), protocol="tcp")).session("a")
    assert (session.end_reason, session.duration, session.event_count) == (EndReason.DISCONNECT, 1800.0, 3)
    assert machine.machine.open_sessions == 0


def test_activity_that_opens_beyond_the_idle_limit_is_an_idle_timeout_at_once() -> None:
    session = Machine().reach(at(20)).feed(activity(at(10), protocol="udp", opens=True)).session("a")
    assert (session.end_reason, session.ended_at) == (EndReason.IDLE_TIMEOUT, at(10))


def test_an_earlier_start_that_makes_it_too_long_ends_it_at_once() -> None:
    machine = Machine().feed(connect(at(30), protocol="ssh")).reach(at(30.5))
    assert machine.session("a").state is State.OPEN
    session = machine.feed(connect(at(30) - DAY, protocol="ssh")).session("a")
    assert (session.end_reason, session.ended_at) == (EndReason.MAX_DURATION, at(30))


def test_a_protocol_with_a_shorter_limit_ends_it_at_once() -> None:
    machine = Machine(Sessions(idle={"": 3600.0, "udp": 60.0})).feed(connect(at(10), protocol=""))
    machine.reach(at(10.5))
    assert machine.session("a").state is State.OPEN
    fact = Connection(action=Action.ANNOTATE, sensor="s", session_id="a", time=at(10), protocol="udp")
    session = machine.feed(fact).session("a")
    assert (session.end_reason, session.ended_at) == (EndReason.IDLE_TIMEOUT, at(10))


@pytest.mark.parametrize("fields", [{"session_id": "a"}, {"session_id": "", **BARE}])
@pytest.mark.parametrize("lookups", [False, True])
def test_a_disconnect_beyond_grace_is_an_orphan_at_once(lookups: bool, fields: dict[str, object]) -> None:
    machine = Machine(lookups=lookups).reach(at(20)).feed(disconnect(at(12), **fields))
    (session,) = machine.sessions
    assert (session.end_reason, session.started_at, session.ended_at) == (EndReason.ORPHAN, None, at(12))
    (session,) = machine.feed(connect(at(11), **fields)).sessions
    assert (session.end_reason, session.duration) == (EndReason.DISCONNECT, 3600.0)


def test_what_a_store_knew_as_open_is_ended_by_what_time_it_is() -> None:
    heir = Machine(lookups=True).reach(at(20))
    heir.stored = Machine().feed(connect(at(10))).stored
    session = heir.feed(amend(heir.session("a"), paused=True)).session("a")
    assert (session.end_reason, session.ended_at, session.paused) == (EndReason.IDLE_TIMEOUT, at(10), True)


@pytest.mark.parametrize("fields", [{"session_id": "a", "protocol": "tcp"}, {"session_id": "", **BARE}])
def test_what_was_due_when_the_worker_died_is_done_by_the_tick_that_is_read_again(fields: dict[str, object]) -> None:
    machine = Machine().feed(connect(at(10), **fields), connect(at(12), "b"))
    heir = machine.successor(2).reach(at(12))
    session = next(one for one in heir.sessions if one.session_id != "b")
    assert (session.end_reason, session.ended_at) == (EndReason.IDLE_TIMEOUT, at(10))


@pytest.mark.parametrize("fields", [{"session_id": "a", "protocol": "tcp"}, {"session_id": "", **BARE}])
def test_a_source_that_is_behind_when_the_worker_dies_keeps_its_sessions_open(fields: dict[str, object]) -> None:
    """Other sessions prove that the sensor was further, but not that this source was."""
    machine = Machine().feed(connect(at(10), **fields), connect(at(12), "b"))
    heir = machine.successor(2)
    heir.machine.tick(Tick(source="e/t/late", caught_up=False, sensors={"s": at(10)}), heir.now)
    heir.feed(activity(at(10.05), **fields), connect(at(10.05), "c", protocol="tcp"))
    assert {one.state for one in heir.sessions} == {State.OPEN}
    heir.machine.tick(Tick(source="e/t/late", caught_up=True, sensors={}), heir.now + HOUR)
    heir.batch()
    assert {one.end_reason for one in heir.sessions if one.session_id != "b"} == {EndReason.IDLE_TIMEOUT}
