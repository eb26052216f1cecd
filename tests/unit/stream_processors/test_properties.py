"""The six properties of session-semantics, against an independent reference."""

import os
from collections import Counter
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings, target

from schemas.records import Action, Connection
from schemas.settings import Sessions
from schemas.times import SECOND
from tests.comparing import rows
from tests.reference import sessions_of
from tests.unit.stream_processors.machine import DAY0, Machine

#: Short limits, so that a few minutes of event time hold every case.
LIMITS = Sessions(grace=60, idle={"": 100.0, "ssh": 200.0}, max_duration=600, interim=250)
FAR = DAY0 + 10_000 * SECOND

KEYS = (
    {"session_id": "one", "protocol": "ssh"},
    {"session_id": "two", "protocol": "tcp"},
    {"protocol": "tcp", "client_ip": "203.0.113.7", "client_port": 4022, "server_ip": "10.0.0.1", "server_port": 22},
    {"mac": "aabbcc001122"},
)
OPENINGS = ("Connected", "New Device", "Down Reconnected")
CLOSINGS = ("Disconnected", "Device Down")


@st.composite
def histories(draw: st.DrawFn) -> list[Connection]:
    """Records of one to three keys on a coarse grid of times, so that times collide and gaps exceed the limits.
    Their sensor may have begun anew meanwhile."""
    keys = draw(st.lists(st.integers(0, len(KEYS) - 1), min_size=1, max_size=3))
    records: list[Connection] = []
    if draw(st.integers(0, 9)) < 8:
        # Most examples hold two sessions of one key, the second of them left open: the hard case, see measure.
        for letter, second in zip("CDC", draw(st.sampled_from(((0, 10, 20), (10, 60, 70), (0, 50, 250)))), strict=True):
            records.append(_record(KEYS[2], letter, DAY0 + second * SECOND, len(records), draw))
    for key in keys:
        time = 0
        for action in draw(st.lists(st.sampled_from("CCDDA"), min_size=2, max_size=8)):
            time += draw(st.sampled_from((0, 10, 10, 20, 50, 150, 300)))
            records.append(_record(KEYS[key], action, DAY0 + time * SECOND, len(records), draw))
    for second in draw(st.lists(st.sampled_from((5, 55, 105, 455)), max_size=2, unique=True)):
        records.append(_record({}, "S", DAY0 + second * SECOND, len(records), draw))
    return records


def _record(key: dict[str, object], letter: str, time: int, number: int, draw: st.DrawFn) -> Connection:
    action = {"C": Action.CONNECT, "D": Action.DISCONNECT, "A": Action.ACTIVITY, "S": Action.SENSOR_START}[letter]
    kind = ""
    if "mac" in key and letter != "A":
        kind = draw(st.sampled_from(OPENINGS if letter == "C" else CLOSINGS[:1]))
    return Connection(
        action=action,
        sensor="s",
        time=time,
        kind=kind,
        record_id=f"r{number:03d}",
        source=f"e/t/{number}",
        positions=[number],
        **key,  # type: ignore[arg-type]
    )


def expected_of(records: list[Connection]) -> list[dict[str, Any]]:
    return rows(sessions_of(records, LIMITS, {"s": FAR}))


def told(records: list[Connection]) -> str:
    """Records as a person reads them: key, action and second, in order of arrival."""
    return " ".join(
        f"{one.session_id or one.mac or one.protocol}:{one.action}@{(one.time - DAY0) // SECOND}#{one.record_id}"
        for one in records
    )


def openings_first(records: list[Connection]) -> list[Connection]:
    """Without activity that is older than anything that opens its session: after grace nobody can tell whose it was."""
    first: dict[str, int] = {}
    for one in records:
        if one.action is Action.CONNECT:
            first[one.session_id] = min(one.time, first.get(one.session_id, one.time))
    return [one for one in records if one.action is not Action.ACTIVITY or one.time >= first.get(one.session_id, FAR)]


def measure(arrived: list[Connection], expected: list[dict[str, Any]]) -> None:
    """What share of the examples is hard is part of the result: see test_half_of_the_examples_are_hard."""
    several = any(count > 1 for count in Counter(row["key"] for row in expected).values())
    disorder = any(a.time > b.time for a, b in pairwise(arrived))
    repeated = len({one.record_id for one in arrived}) < len(arrived)
    timeout = any(row["end_reason"] in ("idle_timeout", "max_duration") for row in expected)
    event(f"hard: {several and disorder and repeated and timeout}")
    target(several + disorder + repeated + timeout, label="cases met")
    HARD.append(several and disorder and repeated and timeout)


HARD: list[bool] = []

#: The same ones at every run, so that a change is judged by the change; HYPOTHESIS_EXAMPLES asks for more.
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "2000"))
#: Thousands of examples take their time where the machine has other work, too.
pytestmark = pytest.mark.timeout(600)
common = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@common
@given(data=st.data(), records=histories())
def test_any_order_and_repetition_within_grace_gives_the_sessions_of_the_text(
    data: st.DataObject, records: list[Connection]
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(records), min_size=1, max_size=4))
    arrived = data.draw(st.permutations([*records, *repeated]))
    machine = Machine(LIMITS).feed(*arrived).reach(FAR).reach(FAR + SECOND)
    expected = expected_of(records)
    measure(arrived, expected)
    assert rows(machine.sessions) == expected, told(arrived)


@common
@given(data=st.data(), records=histories())
def test_watermarks_and_timeouts_on_the_way_do_not_change_the_end(
    data: st.DataObject, records: list[Connection]
) -> None:
    """Records come at most a grace late, timers fire as event time goes on, and what was settled is forgotten."""
    forgets = data.draw(st.booleans())
    records = openings_first(records)
    delays = data.draw(st.lists(st.integers(0, 55), min_size=len(records), max_size=len(records)))
    due = sorted(zip(delays, records, strict=True), key=lambda two: (two[1].time + two[0] * SECOND, two[1].record_id))
    arrived = [record for _, record in due]
    machine = Machine(LIMITS, lookups=True)
    for record in arrived:
        machine.feed(record)
        machine.reach(max(machine.machine.watermarks.of("s"), record.time), after=120 * SECOND if forgets else SECOND)
    machine.reach(FAR).reach(FAR + SECOND)
    assert rows(machine.sessions) == expected_of(records), told(arrived)


@common
@given(data=st.data(), records=histories())
def test_batch_boundaries_change_no_version(data: st.DataObject, records: list[Connection]) -> None:
    """Not even the revision: records may come after their sensor's event time has passed all limits."""
    steps: list[Connection | int] = []
    for record in data.draw(st.permutations(records)):
        steps.append(record)
        if data.draw(st.integers(0, 3)) == 0:
            steps.append(record.time + data.draw(st.sampled_from((0, 60, 170, 400, 700))) * SECOND)
    one_by_one, together = Machine(LIMITS), Machine(LIMITS)
    begin = 0
    while begin < len(steps):
        end = begin + data.draw(st.integers(1, 6))
        together.batch(*steps[begin:end])
        begin = end
    for step in steps:
        one_by_one.batch(step)
    assert told_versions(together) == told_versions(one_by_one), steps


def told_versions(machine: Machine) -> dict[tuple[str, str], tuple[int, int, dict[str, Any]]]:
    """The last version of every session, with what ``rows`` leaves out of it."""
    return {name: (one.revision, one.version, rows([one])[0]) for name, one in machine.stored.items()}


@common
@given(data=st.data(), records=histories())
def test_replaying_any_suffix_changes_nothing(data: st.DataObject, records: list[Connection]) -> None:
    machine = Machine(LIMITS).feed(*records)
    before = machine.sessions
    machine.feed(*records[data.draw(st.integers(0, len(records))) :])
    assert machine.sessions == before


@common
@given(records=histories())
def test_every_connect_and_disconnect_belongs_to_exactly_one_session(records: list[Connection]) -> None:
    machine = Machine(LIMITS).feed(*records).reach(FAR).reach(FAR + SECOND)
    ends = [one for one in records if one.action in (Action.CONNECT, Action.DISCONNECT)]
    activity = len([one for one in records if one.action is Action.ACTIVITY])
    assert len(ends) <= sum(one.event_count for one in machine.sessions) <= len(ends) + activity


@common
@given(records=histories())
def test_ends_never_lie_before_starts(records: list[Connection]) -> None:
    for session in Machine(LIMITS).feed(*records).reach(FAR).sessions:
        if session.started_at is not None and session.ended_at is not None:
            assert session.ended_at >= session.started_at
            assert session.duration == (session.ended_at - session.started_at) / SECOND


@common
@given(data=st.data(), records=histories())
def test_another_sensors_records_change_nothing(data: st.DataObject, records: list[Connection]) -> None:
    alone = Machine(LIMITS).feed(*records)
    mixed = Machine(LIMITS)
    for record in records:
        far = data.draw(st.integers(-400, 400)) * 86_400 * SECOND
        stranger = msgspec.structs.replace(
            record, sensor="other", mac="", session_id="x", time=record.time + far, source="o"
        )
        mixed.feed(stranger).reach(stranger.time, sensor="other").feed(record)
    assert rows(alone.sessions) == rows([one for one in mixed.sessions if one.sensor == "s"])


@common
@given(data=st.data(), records=histories())
def test_a_crash_after_any_record_changes_nothing(data: st.DataObject, records: list[Connection]) -> None:
    """The next machine restores what was published and reads again from the oldest record still held.

    In order of event time: a session that was stored as exact is not split again by an opening that comes later, and
    whose an activity of the very same microsecond is has been decided.
    """
    ends = {one.time for one in records if one.action is not Action.ACTIVITY}
    records = sorted(
        (one for one in records if one.action is not Action.ACTIVITY or one.time not in ends), key=lambda one: one.time
    )
    machine = Machine(LIMITS)
    position, crashes = 0, data.draw(st.integers(1, 3))
    for _ in range(crashes):
        stop = data.draw(st.integers(position, len(records)))
        machine.feed(*records[position:stop])
        held = machine.machine.oldest_held
        position = stop if held is None else min(stop, held)
        machine = machine.successor(position)
    machine.feed(*records[position:]).reach(FAR, after=120 * SECOND).reach(FAR + SECOND)
    assert rows(machine.sessions) == expected_of(records), told(records)


def test_half_of_the_examples_are_hard() -> None:
    if not HARD:
        pytest.skip("runs after the property it measures; that one was not selected")
    assert sum(HARD) / len(HARD) >= 0.5
