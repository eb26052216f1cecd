"""What memory lets go it knows again: a record of a forgotten key waits until a store was asked."""

import pytest

from schemas.records import Action, Connection, EndReason, State
from schemas.settings import Sessions
from schemas.times import MINUTE, SECOND
from stream_processors.machine.forgotten import Forgotten
from stream_processors.machine.limits import limits_of
from stream_processors.machine.sessionizer import Sessionizer
from tests.unit.stream_processors.machine import Machine, activity, at, connect, disconnect

TCP = {"protocol": "tcp", "server_ip": "10.0.0.1", "server_port": 22}


def test_a_forgotten_key_is_always_known_and_others_seldom() -> None:
    forgotten = Forgotten()
    assert b"k" not in forgotten
    forgotten.add(b"key-%d" % number for number in range(2000))
    assert all(b"key-%d" % number in forgotten for number in range(2000))
    assert sum(b"other-%d" % number in forgotten for number in range(2000)) < 20


def test_of_more_keys_than_fit_the_oldest_are_given_up() -> None:
    forgotten = Forgotten(most=10)
    for number in range(5000):
        forgotten.add((b"key-%d" % number,))
    assert all(b"key-%d" % number in forgotten for number in range(4990, 5000))
    assert sum(b"key-%d" % number in forgotten for number in range(4000)) < 40


def forgets(machine: Machine) -> Machine:
    machine.reach(at(11)).reach(at(12), after=10 * MINUTE)
    assert len(machine.machine) == 0
    return machine


def test_a_second_connect_under_a_forgotten_id_keeps_the_earliest_start() -> None:
    machine = forgets(Machine(lookups=True).feed(connect(at(10), protocol="tcp")))
    machine.feed(connect(at(12), protocol="tcp"), disconnect(at(12.5), protocol="tcp"))
    session = machine.session("a")
    assert (session.started_at, session.ended_at, session.event_count) == (at(10), at(12.5), 3)
    assert session.end_reason is EndReason.DISCONNECT


def test_records_behind_a_connect_that_is_asked_about_wait_with_it_in_order() -> None:
    machine = forgets(Machine(lookups=True).feed(connect(at(10), protocol="tcp")))
    machine.answers = False
    machine.feed(connect(at(12), protocol="tcp"), activity(at(12.1), protocol="tcp"), disconnect(at(12.2)))
    assert machine.session("a").end_reason is EndReason.IDLE_TIMEOUT
    assert machine.machine.oldest_held == 1, "a crash reads them again"
    machine.answers = True
    session = machine.reach(at(12.3)).session("a")
    assert (session.started_at, session.event_count, session.end_reason) == (at(10), 4, EndReason.DISCONNECT)
    assert machine.machine.oldest_held is None


def test_an_end_that_waited_over_a_crash_still_ends_what_the_store_has() -> None:
    machine = forgets(Machine(lookups=True).feed(connect(at(10), protocol="tcp")))
    # A worker that does not know what was forgotten before it came, and ends with the disconnect waiting.
    second = Machine(lookups=True).feed(disconnect(at(12), protocol="tcp", user="root"))
    (held,) = second.stored.values()
    third = Machine(lookups=True)
    third.stored = dict(machine.stored)
    third.machine.restore([held])
    session = third.reach(at(13)).session("a")
    assert (session.started_at, session.ended_at, session.event_count) == (at(10), at(12), 2)
    assert (session.end_reason, session.user) == (EndReason.DISCONNECT, "root")


def test_what_only_looked_forgotten_begins_when_the_store_says_no() -> None:
    machine = forgets(Machine(lookups=True).feed(connect(at(10), protocol="tcp")))
    machine.stored.clear()
    machine.feed(connect(at(12), protocol="tcp"))
    assert (machine.session("a").started_at, machine.session("a").state) == (at(12), State.OPEN)


def test_a_whole_record_of_a_forgotten_session_that_comes_again_changes_nothing() -> None:
    def whole() -> Connection:
        return Connection(
            action=Action.COMPLETE,
            sensor="s",
            time=at(10.5),
            started=at(10),
            ended=at(10.5),
            session_id="z",
            protocol="tcp",
            record_id="r0",
            source="e/t/1",
            positions=[7],
        )

    machine = Machine(lookups=True)
    machine.feed(whole(), activity(at(10.4), "z"))
    before = machine.session("z")
    heir = Machine(lookups=True)
    heir.stored = dict(machine.stored)
    forgotten = Forgotten()
    forgotten.add((b'["s","z"]',))
    heir.machine = Sessionizer(limits_of(heir.settings), True, forgotten)
    heir.feed(whole())
    assert heir.session("z") == before


def device(make, hour: float, number: int) -> Connection:  # type: ignore[no-untyped-def]
    return make(at(hour), mac=f"aa:bb:cc:00:00:{number:02x}", kind="Connected" if make is connect else "Disconnected")


def test_beyond_the_limit_idle_devices_leave_memory_and_stay_open() -> None:
    machine = Machine(Sessions(max_open=20), lookups=True)
    machine.feed(*(device(connect, 10 + n / 100, n) for n in range(12)))
    assert len(machine.machine) == 5
    assert all(one.state is State.OPEN for one in machine.sessions)
    for n in range(12):
        machine.feed(device(disconnect, 11, n))
    assert len(machine.sessions) == 12
    assert {one.end_reason for one in machine.sessions} == {EndReason.DISCONNECT}
    assert {one.duration for one in machine.sessions} == {(1 - n / 100) * 3600 for n in range(12)}


def test_a_device_that_connects_again_after_it_left_memory_supersedes() -> None:
    machine = Machine(Sessions(max_open=4), lookups=True).feed(device(connect, 10, 1), device(connect, 10, 2))
    machine.feed(device(connect, 12, 1))
    assert [(one.started_at, one.disconnect_kind) for one in machine.sessions if one.mac.endswith("01")] == [
        (at(10), "<missing event>"),
        (at(12), ""),
    ]


def bare(make, hour: float, port: int) -> Connection:  # type: ignore[no-untyped-def]
    return make(at(hour), "", client_port=port, **TCP)


def test_beyond_the_limit_idle_addresses_are_evicted_and_corrected_by_their_disconnect() -> None:
    machine = Machine(Sessions(max_open=20), lookups=True)
    machine.feed(*(bare(connect, 10 + n / 1000, 4000 + n) for n in range(8)))
    reasons = [one.end_reason for one in machine.sessions]
    assert (reasons.count(EndReason.EVICTED), reasons.count(EndReason.NONE)) == (3, 5)
    assert machine.machine.counters.values["sessions_evicted_total"] == 3
    machine.feed(*(bare(disconnect, 10.05, 4000 + n) for n in range(8)))
    assert {one.end_reason for one in machine.sessions} == {EndReason.DISCONNECT}
    assert len(machine.sessions) == 8


@pytest.mark.parametrize("late", [0, 10 * MINUTE])
def test_what_waits_for_its_partner_is_not_evicted(late: int) -> None:
    machine = Machine(Sessions(max_open=4), lookups=True).feed(bare(disconnect, 10, 4000))
    machine.now += late
    machine.feed(*(bare(connect, 10 + n / 1000, 4100 + n) for n in range(4)))
    machine.feed(bare(connect, 9.99, 4000))
    assert [one.duration for one in machine.sessions if one.client_port == 4000] == [36.0]
    assert machine.reach(at(10) + SECOND).machine.oldest_held is None


def test_what_an_answer_brings_back_is_judged_by_the_event_time_that_has_come_meanwhile() -> None:
    limits = Sessions(grace=300, idle={"": 0.0}, max_duration=1500)
    machine = Machine(limits, lookups=True).feed(connect(at(0)))
    # Long after it ended by its age it is forgotten.
    machine.reach(at(1), after=5 * MINUTE).reach(at(1.5), after=5 * MINUTE).reach(at(2), after=5 * MINUTE)
    machine.answers = False
    machine.feed(activity(at(0.6))).reach(at(9))
    assert machine.session("a").last_activity_at == at(0), "its activity waits for the answer"
    machine.answers = True
    # The sensor never speaks again.
    machine._take()
    session = machine.session("a")
    assert (session.end_reason, session.ended_at, session.event_count) == (EndReason.MAX_DURATION, at(0.6), 2)
