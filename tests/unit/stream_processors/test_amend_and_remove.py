"""Records of APIs: fields set and sessions removed, in memory or forgotten, once and for ever."""

import msgspec
import pytest

from schemas.records import Action, Connection, EndReason, Session, State
from schemas.times import MINUTE, SECOND
from tests.unit.stream_processors.machine import (
    Machine,
    activity,
    amend,
    at,
    connect,
    disconnect,
    remove,
    remove_device,
)

MAC = "AA:BB:CC:00:11:22"
TCP = {"protocol": "tcp", "server_ip": "10.0.0.1", "server_port": 22}


def device(make, hour: float, **fields: object) -> Connection:  # type: ignore[no-untyped-def]
    return make(at(hour), mac=MAC, kind="Connected" if make is connect else "Disconnected", **fields)


def bare(make, hour: float) -> Connection:  # type: ignore[no-untyped-def]
    return make(at(hour), "", **TCP)


def the_only(machine: Machine) -> Session:
    (session,) = machine.sessions
    return session


def all_of(machine: Machine) -> list[Session]:
    """What sessions_all shows, by start."""
    return sorted(machine.stored.values(), key=lambda one: one.started_at or one.ended_at or 0)


#: Ways to make one session that is open, and one that has ended, for each kind of key.
OPEN = {"id": [connect(at(10))], "device": [device(connect, 10)], "bare": [bare(connect, 10)]}
ENDED = {
    "id": [connect(at(10)), disconnect(at(11))],
    "device": [device(connect, 10), device(disconnect, 11)],
    "bare": [bare(connect, 10), bare(disconnect, 10.01)],
    "created": [
        Connection(
            action=Action.COMPLETE, sensor="s", time=at(11), started=at(10), ended=at(11), mac=MAC, record_id="r0"
        )
    ],
}
END = {"id": disconnect(at(11)), "device": device(disconnect, 11), "bare": bare(disconnect, 10.01)}


@pytest.mark.parametrize("kind", OPEN)
def test_fields_are_set_and_stay_whatever_comes_later(kind: str) -> None:
    machine = Machine(lookups=True).feed(*OPEN[kind])
    before = the_only(machine)
    machine.feed(amend(before, "q1", paused=True, reason="why", terminate_at=5), amend(before, "q2", paused=False))
    machine.feed(amend(before, "q3", attributes={"label": "x"}), amend(before, "q4", terminate_at=0))
    session = the_only(machine)
    assert (session.paused, session.reason, session.terminate_at) == (False, "why", None)
    assert session.requests == ("q1", "q2", "q3", "q4")
    assert session.attributes["label"] == "x"
    assert (session.state, session.event_count) == (State.OPEN, before.event_count)
    assert session.last_activity_at == before.last_activity_at
    assert session.revision > before.revision
    assert session.revision >> 56 == before.revision >> 56, "amend keeps the rank"
    later = the_only(machine.feed(END[kind]))
    assert (later.end_reason, later.reason, later.requests) == (EndReason.DISCONNECT, "why", session.requests)
    assert later.attributes["label"] == "x"


@pytest.mark.parametrize("kind", OPEN)
def test_a_removed_session_stays_removed_when_it_ends(kind: str) -> None:
    machine = Machine(lookups=True).feed(*OPEN[kind])
    machine.feed(remove(the_only(machine)))
    assert machine.sessions == []
    assert machine.feed(END[kind]).sessions == []
    (session,) = all_of(machine)
    assert (session.removed, session.end_reason) == (True, EndReason.DISCONNECT)
    assert session.revision >> 56 == 5


@pytest.mark.parametrize("kind", ENDED)
def test_what_memory_has_forgotten_is_found_at_once(kind: str) -> None:
    machine = Machine(lookups=True).feed(*ENDED[kind])
    session = the_only(machine)
    for later in (12, 13, 40):
        machine.reach(at(later), after=10 * MINUTE)
    heir = Machine(lookups=True)
    heir.stored, heir.now = dict(machine.stored), machine.now
    heir.feed(amend(session, "q1", retention_locked=True))
    found = the_only(heir)
    assert (found.retention_locked, found.requests, found.end_reason) == (True, ("q1",), session.end_reason)
    assert (found.duration, found.event_count) == (session.duration, session.event_count)
    assert found.revision > session.revision
    heir.feed(remove(session, "q2"))
    assert heir.sessions == []
    assert heir.machine.oldest_held is None


def test_an_eviction_from_memory_keeps_what_was_amended() -> None:
    machine = Machine(lookups=True).feed(connect(at(10), protocol="tcp"))
    machine.feed(amend(the_only(machine), paused=True)).reach(at(10.2)).reach(at(11), after=5 * MINUTE)
    assert len(machine.machine) == 0
    session = the_only(machine.feed(disconnect(at(12), protocol="tcp")).reach(at(12.2)))
    assert (session.paused, session.requests, session.end_reason) == (True, ("q",), EndReason.DISCONNECT)


def test_a_request_that_comes_again_changes_nothing() -> None:
    machine = Machine().feed(connect(at(10)))
    session = the_only(machine)
    machine.feed(amend(session, "q1", paused=True), amend(session, "q2", paused=False))
    before = the_only(machine)
    machine.feed(amend(session, "q1", paused=True))
    assert the_only(machine) == before
    assert machine.machine.counters.values["connections_repeated_total"] == 1


def test_only_the_last_sixteen_requests_are_carried() -> None:
    machine = Machine().feed(connect(at(10)))
    session = the_only(machine)
    machine.feed(*(amend(session, f"q{n}", reason=str(n)) for n in range(20)))
    assert the_only(machine).requests == tuple(f"q{n}" for n in range(4, 20))


@pytest.mark.parametrize("kind", ["id", "device"])
def test_what_nobody_knows_is_counted_and_holds_nothing_back(kind: str) -> None:
    machine = Machine(lookups=True).feed(*OPEN[kind])
    stranger = msgspec.structs.replace(
        the_only(machine), session_id="unknown", key=the_only(machine).key if kind == "device" else '["s","unknown"]'
    )
    machine.feed(amend(stranger, paused=True), remove(stranger, "q2"))
    assert machine.machine.counters.values["writes_unmatched_total"] == 2
    assert (len(machine.sessions), machine.machine.oldest_held) == (1, None)


def test_a_record_that_waits_for_the_store_holds_the_commit_and_keeps_its_order() -> None:
    machine = Machine(lookups=True).feed(*ENDED["id"], device(connect, 10), device(disconnect, 11))
    sessions = machine.sessions
    heir = Machine(lookups=True)
    heir.stored, heir.answers = dict(machine.stored), False
    heir.feed(amend(sessions[0], "q1", reason="first"), amend(sessions[1], "q1", reason="first"))
    heir.feed(amend(sessions[0], "q2", reason="second"), amend(sessions[1], "q2", reason="second"))
    assert heir.machine.oldest_held == 0
    taken = heir.machine.take_writes(10)
    heir.machine.give_back_writes(taken)
    heir.answers = True
    heir.feed(connect(at(12), "other"))
    assert [one.reason for one in heir.sessions if one.session_id != "other"] == ["second", "second"]
    assert heir.machine.oldest_held is None


def test_a_removed_device_loses_every_session_it_had_by_then() -> None:
    machine = Machine(lookups=True)
    machine.feed(device(connect, 10), device(disconnect, 11))
    machine.feed(connect(at(9), "own", protocol="tcp"))
    machine.feed(*ENDED["created"], connect(at(12), "x", sensor="other"))
    # The same device under another sensor's own id, and in another spelling.
    machine.now += SECOND
    machine.feed(
        Connection(action=Action.CONNECT, sensor="s", time=at(9.5), session_id="with-mac", mac="aabb.cc00.1122")
    )
    for later in (12, 13, 40):
        machine.reach(at(later), after=10 * MINUTE)
    machine.feed(device(connect, 41))
    machine.now += SECOND
    machine.feed(remove_device("aa-bb-cc-00-11-22", at(42)))
    assert {one.session_id for one in machine.sessions} == {"own", "x"}
    assert sum(one.removed for one in machine.stored.values()) == 4
    machine.now += SECOND
    machine.feed(device(disconnect, 43))
    assert {one.session_id for one in machine.sessions} == {"own", "x"}, "what was open then ends unseen"
    machine.now += SECOND
    machine.feed(device(connect, 44))
    assert [one.started_at for one in machine.sessions if one.mac] == [at(44)]


def test_a_removal_that_comes_again_does_not_touch_what_began_since() -> None:
    machine = Machine(lookups=True).feed(device(connect, 10), device(disconnect, 11))
    machine.now += SECOND
    again = remove_device(MAC, at(12), "q1")
    machine.feed(again)
    machine.now += SECOND
    machine.feed(device(connect, 13), *ENDED["created"])
    machine.now += SECOND
    machine.feed(again)
    assert sorted(one.started_at or 0 for one in machine.sessions) == [at(10), at(13)]
    assert all(one.mac == MAC for one in machine.sessions)


def test_removals_and_amendments_survive_a_crash() -> None:
    machine = Machine(lookups=True).feed(device(connect, 10), connect(at(10), "a"), bare(connect, 10))
    for session in machine.sessions:
        machine.feed(amend(session, f"q{session.session_id}", paused=True))
    removed = next(one for one in machine.sessions if one.mac)
    machine.feed(remove(removed))
    heir = machine.successor(100).feed(device(disconnect, 11), disconnect(at(11)), bare(disconnect, 10.01))
    assert [(one.paused, one.end_reason) for one in heir.sessions] == [(True, EndReason.DISCONNECT)] * 2
    assert heir.feed(device(connect, 12)).sessions[-1].started_at == at(12)


def test_a_session_whose_opening_moves_stays_removed() -> None:
    opens = {"protocol": "redis", "client_ip": "192.0.2.7", "opens": True}
    machine = Machine(lookups=True).feed(activity(at(10), "", **opens))
    machine.feed(remove(the_only(machine))).feed(activity(at(10) - MINUTE, "", **opens))
    assert machine.sessions == []
    assert len({one.session_id for one in machine.stored.values()}) == 2


def test_two_equal_records_of_whole_sessions_are_two_sessions() -> None:
    whole = ENDED["created"][0]
    machine = Machine().feed(whole, msgspec.structs.replace(whole, record_id="r1"), whole)
    assert [one.duration for one in machine.sessions] == [3600.0, 3600.0]
    assert {one.key for one in machine.sessions} == {'["aabbcc001122"]'}
    assert {one.opened_by for one in machine.sessions} == {"r0", "r1"}
