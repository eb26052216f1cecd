"""The limits of session-semantics: silence by protocol, the longest session, a sensor's new life, wild clocks."""

import pytest

from schemas.records import Action, Connection, DurationQuality, EndReason, State
from schemas.settings import Sessions
from schemas.times import DAY, HOUR, MINUTE, SECOND
from stream_processors.machine.watermarks import HighTime
from tests.unit.stream_processors.machine import Machine, activity, at, connect, disconnect

GRACE = 5 * MINUTE
BARE = {"client_ip": "192.0.2.7", "client_port": 4000, "server_ip": "10.0.0.1", "server_port": 22}


@pytest.mark.parametrize("fields", [{}, {"session_id": "", **BARE}], ids=["id", "bare"])
@pytest.mark.parametrize(
    ("protocol", "limit"),
    [
        ("tcp", 5 * MINUTE),
        ("ssh", HOUR),
        ("telnet", HOUR),
        ("ftp", HOUR),
        ("rdp", HOUR),
        ("udp", MINUTE),
        ("anything", 5 * MINUTE),
    ],
)
def test_each_protocol_has_its_idle_limit(protocol: str, limit: int, fields: dict[str, object]) -> None:
    machine = Machine().feed(connect(at(10), **{"protocol": protocol, **fields}))  # type: ignore[arg-type]
    assert machine.reach(at(10) + limit + GRACE - SECOND).sessions[0].state is State.OPEN
    (session,) = machine.reach(at(10) + limit + GRACE + SECOND).sessions
    assert (session.end_reason, session.ended_at) == (EndReason.IDLE_TIMEOUT, at(10))


def test_idle_limits_are_configurable() -> None:
    machine = Machine(Sessions(idle={"": 10.0, "ssh": 0.0})).feed(connect(at(10), "t", protocol="tcp"), connect(at(10)))
    machine.reach(at(10) + GRACE + 11 * SECOND)
    assert machine.session("t").end_reason is EndReason.IDLE_TIMEOUT
    assert machine.reach(at(20)).session("a").state is State.OPEN


@pytest.mark.parametrize(("longest", "state"), [(3600.0, State.CLOSED), (0.0, State.OPEN)])
def test_the_longest_duration_is_configurable(longest: float, state: State) -> None:
    machine = Machine(Sessions(max_duration=longest)).feed(connect(at(10)))
    for minutes in range(10, 80, 10):
        machine.feed(activity(at(10) + minutes * MINUTE)).reach(at(10) + minutes * MINUTE)
    assert machine.session("a").state is state


def test_a_restart_of_the_sensor_closes_addresses_too_at_their_last_activity() -> None:
    machine = Machine().feed(connect(at(10), "", protocol="tcp", **BARE))
    machine.feed(activity(at(10) + 30 * SECOND, "", protocol="tcp", **BARE))
    start = Connection(action=Action.SENSOR_START, sensor="s", time=at(10) + MINUTE, boot_id="2")
    (session,) = machine.feed(start).sessions
    assert (session.end_reason, session.ended_at) == (EndReason.SENSOR_RESTART, at(10) + 30 * SECOND)
    assert session.duration_quality is DurationQuality.LOWER_BOUND
    machine.feed(connect(at(10) + 2 * MINUTE, "", protocol="tcp", **BARE))
    assert [one.state for one in machine.sessions] == [State.CLOSED, State.OPEN], "what begins after it is another life"


def test_the_same_connect_at_another_position_changes_nothing_but_the_count() -> None:
    machine = Machine().feed(connect(at(10)), connect(at(10)), disconnect(at(11)), disconnect(at(11)))
    session = machine.session("a")
    assert (session.started_at, session.ended_at, session.event_count) == (at(10), at(11), 4)
    assert machine.machine.counters.values["connections_repeated_total"] == 2


def test_a_reconnection_is_a_new_session() -> None:
    words = [connect(at(10), "", protocol="tcp", **BARE), disconnect(at(10.01), "", protocol="tcp", **BARE)]
    again = [connect(at(10.02), "", protocol="tcp", **BARE), disconnect(at(10.04), "", protocol="tcp", **BARE)]
    sessions = Machine().feed(*words, *again).sessions
    assert [one.duration for one in sessions] == [36.0, 72.0]
    assert len({one.session_id for one in sessions}) == 2


def test_a_jump_of_more_than_a_day_needs_three_records() -> None:
    high = HighTime(at(10))
    assert not high.observe(at(10) + 2 * DAY)
    assert not high.observe(at(10) + 3 * DAY)
    assert high.time == at(10)
    assert high.observe(at(10) + 4 * DAY)
    assert high.time == at(10) + 2 * DAY, "the earliest of the three"
    assert high.observe(at(10) + 2 * DAY + HOUR)
    assert not high.observe(at(10))


def test_a_single_wild_clock_between_sane_ones_never_counts() -> None:
    high = HighTime(at(10))
    for minute in range(10):
        assert not high.observe(at(10) + 900 * DAY)
        assert high.observe(at(10.1) + minute * MINUTE)
    assert high.time == at(10.1) + 9 * MINUTE
