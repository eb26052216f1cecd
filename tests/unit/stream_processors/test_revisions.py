"""Which version wins: the ranks of session-semantics, and what moves a revision."""

import pytest

from schemas.records import Action, Connection, EndReason, Session, State
from schemas.times import HOUR, MINUTE, SECOND
from stream_processors.machine.revisions import rank_of
from tests.unit.stream_processors.machine import Machine, activity, amend, at, connect, disconnect, remove

RANKS = {
    EndReason.ORPHAN: 0,
    EndReason.NONE: 1,
    EndReason.IDLE_TIMEOUT: 2,
    EndReason.MAX_DURATION: 2,
    EndReason.EVICTED: 2,
    EndReason.SUPERSEDED: 3,
    EndReason.SENSOR_RESTART: 3,
    EndReason.DISCONNECT: 4,
    EndReason.COMPLETE: 4,
}


def test_every_end_has_its_rank() -> None:
    assert RANKS.keys() == set(EndReason)


@pytest.mark.parametrize(("reason", "rank"), RANKS.items())
def test_evidence_outranks_guesses_and_a_removal_all(reason: EndReason, rank: int) -> None:
    session = Session(session_id="a", sensor="s", key="[]", end_reason=reason)
    assert rank_of(session) == rank
    session.removed = True
    assert rank_of(session) == 5


def test_a_records_version_has_the_time_of_the_record() -> None:
    assert Machine().feed(connect(at(10))).session("a").revision == 1 << 56 | at(10)
    assert Machine().feed(connect(at(10)), disconnect(at(11))).session("a").revision == 4 << 56 | at(11)


def test_a_timers_version_has_its_deadline_never_the_clock() -> None:
    machine = Machine().feed(connect(at(10), protocol="tcp")).reach(at(15), after=9 * HOUR)
    assert machine.session("a").revision == 2 << 56 | at(10) + 5 * MINUTE
    bare = {"protocol": "tcp", "server_ip": "10.0.0.1", "server_port": 22}
    (session,) = Machine().feed(connect(at(10), "", **bare)).reach(at(15), after=9 * HOUR).sessions
    assert session.revision == 2 << 56 | at(10) + 5 * MINUTE


def test_a_revision_advances_by_one_per_record_that_is_no_later_than_it() -> None:
    machine = Machine().feed(connect(at(10)))
    first = machine.session("a").revision
    many = activity(at(9.9), positions=[1, 2, 3], source="e/t/x", last_time=at(9.9))
    session = machine.feed(many).session("a")
    assert (session.revision, session.version, session.event_count) == (first + 1, 2, 4)


def test_api_records_keep_the_rank_but_a_removal() -> None:
    machine = Machine().feed(connect(at(10)), disconnect(at(11)))
    amended = machine.feed(amend(machine.session("a"), "q1", paused=True)).session("a")
    assert amended.revision >> 56 == 4
    machine.feed(remove(amended, "q2"))
    (removed,) = machine.stored.values()
    assert removed.revision >> 56 == 5


def test_the_same_input_gives_the_same_revisions_and_ids() -> None:
    records = [
        connect(at(10)), activity(at(10.1)), connect(at(10), mac="aa:bb"), disconnect(at(11)),
        disconnect(at(11), mac="aa:bb"), disconnect(at(12), "late"),
    ]  # fmt: skip
    for number, record in enumerate(records):
        record.source, record.positions, record.record_id = "e/t/0", [number], f"r{number}"
    first, second = (Machine().feed(*records).reach(at(20)).stored for _ in range(2))
    assert first == second


def test_created_and_modified_are_the_brokers_times_of_the_first_and_the_last_record() -> None:
    for fields in ({}, {"mac": "aa:bb"}):
        machine = Machine()
        began = machine.now
        machine.feed(connect(at(10), **fields))
        machine.now += 7 * SECOND
        (session,) = machine.feed(disconnect(at(11), **fields)).sessions
        assert (session.created_at, session.modified_at) == (began, began + 7 * SECOND)


def test_a_whole_record_has_the_rank_of_evidence() -> None:
    whole = Connection(action=Action.COMPLETE, sensor="s", session_id="z", time=at(11), started=at(10), ended=at(11))
    session = Machine().feed(whole).session("z")
    assert (session.revision >> 56, session.state) == (4, State.CLOSED)
