"""Flows: sessions with an id of which not every record knows the start, under a number that the sensor uses again."""

from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.formats import Rejection
from producers.formats.suricata import decode_suricata
from schemas.records import Action, Connection, DurationQuality, EndReason, Session, State
from schemas.times import HOUR, MINUTE, SECOND, rfc3339
from stream_processors.machine.timeline import START_GUESSED
from tests.unit.stream_processors.machine import DAY0, Machine

FLOW_ID = 252156359044262
START = DAY0 + 10 * HOUR


def line(event_type: str, time: int, more: str = "", flow_id: int = FLOW_ID) -> Connection:
    """The connection record of a line of eve.json."""
    text = (
        f'{{"timestamp":"{rfc3339(time)}","flow_id":{flow_id},"event_type":"{event_type}","src_ip":"192.0.2.7",'
        f'"src_port":4022,"dest_ip":"198.51.100.7","dest_port":80,"proto":"TCP","host":"s"{more}}}'
    )
    found = decode_suricata(text.encode())
    assert not isinstance(found, Rejection), found
    connection = found[0].connection
    assert connection is not None
    return connection


def http(time: int, host: str = "h") -> Connection:
    return line("http", time, f',"http":{{"hostname":"{host}"}}')


def alert(time: int, start: int = START) -> Connection:
    return line("alert", time, f',"alert":{{"signature_id":7,"signature":"x"}},"flow":{{"start":"{rfc3339(start)}"}}')


def flow(start: int = START, seconds: float = 300, logged_after: int = MINUTE) -> Connection:
    end = start + round(seconds * SECOND)
    part = f',"app_proto":"http","flow":{{"start":"{rfc3339(start)}","end":"{rfc3339(end)}","state":"closed"}}'
    return line("flow", end + logged_after, part)


def shown(session: Session) -> tuple[object, ...]:
    return session.session_id, session.started_at, session.ended_at, session.end_reason, session.event_count


def flow_session(start: int = START, seconds: float = 300, events: int = 1) -> tuple[object, ...]:
    end = start + round(seconds * SECOND)
    return f"{FLOW_ID}-{start // SECOND}", start, end, EndReason.COMPLETE, events


LINES = (http(START + 20 * SECOND), alert(START + 40 * SECOND), http(START + 100 * SECOND, "other"), flow())


@pytest.mark.parametrize("lookups", [False, True])
@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_lines_of_one_flow_are_one_session_in_any_order(order: tuple[int, ...], lookups: bool) -> None:
    machine = Machine(lookups=lookups).feed(*[LINES[at] for at in order])
    machine.reach(START + 2 * HOUR, after=2 * MINUTE)
    assert [shown(one) for one in machine.sessions] == [flow_session(events=4)]
    (session,) = machine.sessions
    assert (session.protocol, session.server_name, session.client_ip) == ("http", "h", "192.0.2.7")
    assert session.attributes == {"alert.7": "x", "flow.state": "closed"} | {"flow.reason": ""}
    assert session.flags == []


@pytest.mark.parametrize("lookups", [False, True])
def test_two_flows_that_use_one_number_hours_apart_are_two_sessions(lookups: bool) -> None:
    later = START + 3 * HOUR
    machine = Machine(lookups=lookups).feed(http(START + SECOND), flow())
    machine.reach(START + HOUR, after=2 * MINUTE)
    machine.feed(http(later + 9 * SECOND), alert(later + 10 * SECOND, later), http(later + 11 * SECOND), flow(later))
    machine.reach(later + HOUR, after=2 * MINUTE)
    assert [shown(one) for one in machine.sessions] == [flow_session(events=2), flow_session(later, events=4)]


def test_a_flow_is_open_from_its_first_line_on_and_keeps_its_id() -> None:
    machine = Machine(lookups=True).feed(http(START + 5 * SECOND))
    (session,) = machine.sessions
    assert (session.state, session.started_at, session.flags) == (State.OPEN, START + 5 * SECOND, [START_GUESSED])
    machine.feed(alert(START + 6 * SECOND))
    (session,) = machine.sessions
    assert (session.state, session.started_at, session.flags) == (State.OPEN, START, [])
    machine.feed(flow())
    assert [shown(one) for one in machine.sessions] == [flow_session(events=3)]
    # Its flow_id has three bits of the second in which it began: within eight seconds of it the id is right at once.
    assert len(machine.stored) == 1
    assert machine.sessions[0].duration_quality is DurationQuality.EXACT


def test_the_first_line_of_an_old_flow_is_given_to_it_when_the_flow_is_over() -> None:
    machine = Machine(lookups=True).feed(http(START + 100 * SECOND))
    (session,) = machine.sessions
    assert session.session_id != f"{FLOW_ID}-{START // SECOND}"
    machine.feed(flow())
    assert [shown(one) for one in machine.sessions] == [flow_session(events=2)]
    assert [one.flags for one in machine.stored.values() if one.removed] == [[START_GUESSED, "replaced"]]


@pytest.mark.parametrize("lookups", [False, True])
def test_requests_with_long_silences_between_are_one_session_when_the_flow_is_over(lookups: bool) -> None:
    machine = Machine(lookups=lookups)
    for hour in (0.1, 0.5, 1.9):
        machine.feed(http(START + round(hour * HOUR))).reach(START + round((hour + 0.3) * HOUR), after=2 * MINUTE)
    assert len(machine.sessions) == 3
    machine.feed(flow(seconds=7200))
    if lookups:
        assert [shown(one) for one in machine.sessions] == [flow_session(seconds=7200, events=4)]
    else:
        assert machine.session(f"{FLOW_ID}-{START // SECOND}").ended_at == START + 2 * HOUR


def test_what_is_logged_after_the_flow_was_forgotten_is_counted_in_it() -> None:
    machine = Machine(lookups=True).feed(flow())
    machine.reach(START + HOUR, after=2 * MINUTE)
    machine.feed(http(START + 30 * SECOND), http(START + 10 * MINUTE))
    machine.reach(START + 2 * HOUR, after=2 * MINUTE)
    machine.feed(http(START + 31 * SECOND))
    assert [shown(one) for one in machine.sessions] == [flow_session(events=4)]


@pytest.mark.parametrize("crash", range(5))
def test_a_crash_after_any_line_changes_nothing(crash: int) -> None:
    def numbered(at: int, one: Connection) -> Connection:
        one.source, one.positions, one.record_id = "e/t/0", [at], f"r{at}"
        return one

    lines = [numbered(at, one) for at, one in enumerate([http(START + SECOND), alert(START + 2 * SECOND), flow()])]
    machine = Machine(lookups=True).feed(*lines[:crash]).successor(crash)
    for again in range(len(lines) + 1):
        machine.feed(*lines[again:])
        machine.reach(START + HOUR, after=2 * MINUTE)
    assert [shown(one) for one in machine.sessions] == [flow_session(events=3)]


def test_a_repeated_flow_record_that_was_alone_changes_nothing() -> None:
    one = flow()
    one.source, one.positions, one.record_id = "e/t/0", [1], "r"
    machine = Machine(lookups=True).feed(one).feed(one)
    assert [shown(each) for each in machine.sessions] == [flow_session(events=1)]
    machine = machine.reach(START + HOUR, after=2 * MINUTE).successor(9).feed(one)
    assert [shown(each) for each in machine.sessions] == [flow_session(events=1)]


@pytest.mark.parametrize("lines", [LINES[3:], LINES, LINES[:3]], ids=["alone", "whole", "open"])
def test_a_flow_is_the_same_whether_a_line_was_needed_for_it_or_not(lines: tuple[Connection, ...]) -> None:
    """`sojourn reconcile` has all records of a key on a line; the worker mostly needs none."""

    def whole(lookups: bool) -> list[Session]:
        numbered = [
            msgspec.structs.replace(one, source="e/t/0", positions=[at], record_id=f"r{at}")
            for at, one in enumerate(lines)
        ]
        sessions = Machine(lookups=lookups).feed(*numbered).reach(START + MINUTE).sessions
        return [msgspec.structs.replace(one, revision=0, version=0) for one in sessions]

    assert whole(lookups=True) == whole(lookups=False)


def test_thousands_of_requests_in_one_flow_are_a_short_line() -> None:
    """A line is paired anew with every record, so its length is what a record costs."""
    requests = [http(START + number * SECOND // 10) for number in range(3000)]
    machine = Machine(lookups=True).feed(*requests)
    assert [(one.event_count, one.last_activity_at) for one in machine.sessions] == [(3000, START + 299_900_000)]
    machine.feed(flow())
    assert [shown(one) for one in machine.sessions] == [flow_session(events=3001)]
    [history] = machine.machine._paired._histories.values()
    assert len(history._marks) < 40


def test_another_sensors_flow_is_another_session() -> None:
    other = flow()
    other.sensor = "t"
    assert len(Machine(lookups=True).feed(http(START + SECOND), flow(), other).sessions) == 2


LIVES = st.lists(
    st.tuples(
        st.integers(2, 9),
        st.lists(st.tuples(st.sampled_from([Action.ACTIVITY, Action.CONNECT]), st.integers(0, 299)), max_size=4),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(lives=LIVES, lookups=st.booleans(), data=st.data())
def test_any_lives_of_one_number_with_any_lines_in_any_order_are_as_many_sessions(
    lives: list[tuple[int, list[tuple[Action, int]]]], lookups: bool, data: st.DataObject
) -> None:
    """The lines of all lives come shuffled within grace, each life some hours after the one before."""
    machine = Machine(lookups=lookups)
    expected = []
    start = START
    for hours, told in lives:
        lines = [flow(start)]
        for action, second in told:
            time = start + second * SECOND
            lines.append(http(time) if action is Action.ACTIVITY else alert(time, start))
        machine.feed(*data.draw(st.permutations(lines)))
        machine.reach(start + HOUR, after=data.draw(st.sampled_from([SECOND, 2 * MINUTE])))
        expected.append(flow_session(start, events=len(lines)))
        start += hours * HOUR
    assert [shown(one) for one in machine.sessions] == expected
