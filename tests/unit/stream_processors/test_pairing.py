"""The vectors of device pairing, and keys known only by their addresses."""

import pytest

from schemas.records import Connection, DurationQuality, EndReason, Session, State
from schemas.times import MINUTE, SECOND
from tests.unit.stream_processors.machine import Machine, activity, at, connect, disconnect

KINDS = {
    "C": ("connect", "Connected"),
    "N": ("connect", "New Device"),
    "R": ("connect", "Down Reconnected"),
    "D": ("disconnect", "Disconnected"),
    "X": ("disconnect", "Device Down"),
    "I": ("activity", "IP Changed"),
    "V": ("activity", "VOIDED - Connected"),
}
MAKE = {"connect": connect, "disconnect": disconnect, "activity": activity}

VECTORS = [
    ("C10 D12", "(C10-D12)"),
    ("C10 C11 D12", "(C10-missing) (C11-D12)"),
    ("D12", "(missing-D12)"),
    ("C12", "(C12-open)"),
    ("N10 X11 R12 D13", "(N10-X11) (R12-D13)"),
    ("C10 X11 D12", "(C10-X11) (missing-D12)"),
    ("C10 D10", "(missing-D10) (C10-open)"),
    ("C10 I10 V11 D11", "(C10-D11)"),
    ("C10 C10", "(C10-open)"),
    ("C10 N10 D11", "(N10-D11)"),
    ("N10 C10 D11", "(N10-D11)"),
]


def device(word: str) -> Connection:
    action, kind = KINDS[word[0]]
    return MAKE[action](at(float(word[1:])), mac="AA:BB:CC:00:11:22", kind=kind)


def shown(session: Session) -> str:
    letters = {kind: letter for letter, (_, kind) in KINDS.items()}

    def end(kind: str, time: int | None, empty: str) -> str:
        if kind == "<missing event>":
            return "missing"
        return empty if time is None else f"{letters[kind]}{(time - at(0)) // at_hour():d}"

    opening = end(session.connect_kind, session.started_at, "missing")
    closing = end(session.disconnect_kind, session.ended_at, "open")
    return f"({opening}-{closing})"


def at_hour() -> int:
    return at(1) - at(0)


@pytest.mark.parametrize(("events", "expected"), VECTORS)
def test_vectors_in_order(events: str, expected: str) -> None:
    machine = Machine().feed(*[device(word) for word in events.split()])
    machine.reach(at(20))
    assert sorted(shown(one) for one in machine.sessions) == sorted(expected.split())


@pytest.mark.parametrize(("events", "expected"), VECTORS)
def test_vectors_backwards_within_grace(events: str, expected: str) -> None:
    machine = Machine().feed(*[device(word) for word in reversed(events.split())])
    machine.reach(at(20))
    assert sorted(shown(one) for one in machine.sessions) == sorted(expected.split())


def test_the_close_pairs_after_the_open_session_was_published() -> None:
    machine = Machine().feed(device("C10"))
    assert [shown(one) for one in machine.sessions] == ["(C10-open)"]
    machine.feed(device("D11"))
    assert [shown(one) for one in machine.sessions] == ["(C10-D11)"]


def test_a_device_never_goes_idle() -> None:
    machine = Machine().feed(device("C10"))
    assert machine.reach(at(10) + 400 * 24 * at_hour()).sessions[0].state is State.OPEN
    assert [shown(one) for one in machine.feed(device("D2000")).sessions] == ["(C10-D2000)"]


def test_a_second_connect_supersedes_the_first() -> None:
    machine = Machine().feed(*[tcp(connect, 10.0), tcp(activity, 10.01), tcp(connect, 10.05), tcp(disconnect, 10.06)])
    first, second = machine.sessions
    assert (first.end_reason, first.ended_at, first.event_count) == (EndReason.SUPERSEDED, at(10.01), 2)
    assert (second.end_reason, second.started_at, second.event_count) == (EndReason.DISCONNECT, at(10.05), 2)
    assert first.session_id != second.session_id


def test_a_gap_beyond_the_idle_limit_makes_it_a_timeout_instead() -> None:
    machine = Machine().feed(tcp(connect, 10.0), tcp(connect, 11.0))
    assert [one.end_reason for one in machine.sessions] == [EndReason.IDLE_TIMEOUT, EndReason.NONE]


def test_a_late_connect_repairs_the_line() -> None:
    machine = Machine().feed(tcp(connect, 10.02), tcp(disconnect, 10.03), tcp(connect, 10.0), tcp(disconnect, 10.01))
    assert [one.duration for one in machine.sessions] == [36.0, 36.0]
    assert {one.end_reason for one in machine.sessions} == {EndReason.DISCONNECT}


def test_an_orphan_that_finds_its_opening_late_is_taken_back() -> None:
    machine = Machine().feed(tcp(disconnect, 10.0)).reach(at(10.2))
    (orphan,) = machine.sessions
    assert (orphan.end_reason, orphan.duration_quality) == (EndReason.ORPHAN, DurationQuality.UNKNOWN)
    machine.feed(tcp(connect, 9.99))
    (session,) = machine.sessions
    assert (session.end_reason, session.duration, session.session_id != orphan.session_id) == (
        EndReason.DISCONNECT,
        36.0,
        True,
    )


def test_connect_and_disconnect_at_one_time_are_a_session_of_no_length() -> None:
    (session,) = Machine().feed(tcp(connect, 10.0), tcp(disconnect, 10.0)).sessions
    assert (session.duration, session.end_reason) == (0.0, EndReason.DISCONNECT)


def test_ports_used_again_in_the_same_second_do_not_cross() -> None:
    words = [tcp(connect, 10.0), tcp(disconnect, 10.01), tcp(connect, 10.01), tcp(disconnect, 10.02)]
    for order in (words, words[::-1], [words[2], words[1], words[0], words[3]]):
        machine = Machine().feed(*order).reach(at(11))
        assert [one.duration for one in machine.sessions] == [36.0, 36.0]


def test_closed_keys_are_forgotten_once_nothing_can_change_them() -> None:
    machine = Machine().feed(tcp(connect, 10.0), tcp(disconnect, 10.01))
    machine.reach(at(11))
    assert len(machine.machine) == 1, "kept for late records while processing is near"
    machine.reach(at(12), after=MINUTE)
    assert len(machine.machine) == 0


def test_idle_timeouts_need_grace_and_are_taken_back_by_activity() -> None:
    machine = Machine().feed(tcp(connect, 10.0))
    machine.reach(at(10) + 10 * MINUTE - SECOND)
    assert machine.sessions[0].state is State.OPEN
    machine.reach(at(10) + 10 * MINUTE + SECOND)
    assert machine.sessions[0].end_reason is EndReason.IDLE_TIMEOUT
    machine.feed(tcp(disconnect, 10.19))
    assert [one.end_reason for one in machine.sessions] == [EndReason.DISCONNECT]


def test_a_restored_orphan_keeps_what_was_known_of_it() -> None:
    said = activity(at(12) + SECOND, mac="AA:BB:CC:00:11:22", category="device", attributes={"seen": "yes"})
    heir = Machine().feed(device("D12"), said).reach(at(12.5)).successor(2).feed(device("C12.6")).reach(at(12.5))
    orphan, _ = heir.sessions
    assert (orphan.end_reason, orphan.category, orphan.attributes) == ("orphan", "device", {"seen": "yes"})
    assert orphan.event_count == 2


def test_a_restored_device_pairs_with_its_disconnect() -> None:
    machine = Machine().feed(device("C10"))
    heir = Machine()
    heir.machine.restore(machine.sessions)
    heir.stored.update(machine.stored)
    heir.feed(device("D12"))
    assert [shown(one) for one in heir.sessions] == ["(C10-D12)"]


def tcp(make, hour: float) -> Connection:  # type: ignore[no-untyped-def]
    return make(at(hour), "", protocol="tcp", server_ip="10.0.0.1", server_port=22)


@pytest.mark.parametrize("late", [False, True])
def test_where_any_event_opens_a_silence_above_the_limit_begins_another_session(late: bool) -> None:
    """Whatever is noticed first: event times alone decide."""
    tcp = {"client_ip": "192.0.2.77", "client_port": 60122, "protocol": "redis", "opens": True}
    machine = Machine()
    early = [activity(at(10), "", **tcp), activity(at(10) + 4 * MINUTE, "", **tcp)]
    later = [activity(at(10) + 10 * MINUTE, "", **tcp)]
    machine.feed(*(later + early if late else early + later)).reach(at(12))
    sessions = sorted(machine.sessions, key=lambda one: one.started_at or 0)
    assert [(one.started_at, one.ended_at, one.event_count, one.end_reason) for one in sessions] == [
        (at(10), at(10) + 4 * MINUTE, 2, EndReason.IDLE_TIMEOUT),
        (at(10) + 10 * MINUTE, at(10) + 10 * MINUTE, 1, EndReason.IDLE_TIMEOUT),
    ]


def test_where_any_event_opens_a_closing_of_the_same_second_ends_what_it_opened() -> None:
    known = {"process": "boot/4711", "client_ip": ""}
    machine = Machine().feed(activity(at(10), "", opens=True, **known), disconnect(at(10), "", **known))
    [session] = machine.reach(at(12)).sessions
    assert (session.started_at, session.ended_at, session.event_count) == (at(10), at(10), 2)
    assert session.end_reason is EndReason.DISCONNECT


def test_a_process_number_that_is_used_again_names_another_session() -> None:
    known = {"process": "boot/4711", "client_ip": ""}
    machine = Machine()
    for hour in (10, 12):
        machine.feed(activity(at(hour), "", opens=True, **known), disconnect(at(hour + 0.5), "", **known))
    sessions = machine.reach(at(20)).sessions
    assert [(one.started_at, one.ended_at) for one in sessions] == [(at(10), at(10.5)), (at(12), at(12.5))]
    assert len({one.session_id for one in sessions}) == 2
