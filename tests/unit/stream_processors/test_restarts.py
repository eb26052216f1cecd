"""A sensor begins anew: what it had open and was silent since then has ended, whatever is heard of first."""

from itertools import permutations

import msgspec
import pytest

from schemas.records import Action, Connection, EndReason
from schemas.times import MINUTE
from stream_processors.machine.boots import Boots
from stream_processors.machine.limits import limits_of
from stream_processors.machine.sessionizer import Sessionizer
from tests.unit.stream_processors.machine import Machine, activity, amend, at, connect, disconnect

BARE = {"protocol": "tcp", "client_ip": "203.0.113.7", "client_port": 4022, "server_ip": "10.0.0.1", "server_port": 22}
KEYS = [{"session_id": "a", "protocol": "tcp"}, {"session_id": "", **BARE}, {"mac": "aa:bb"}]


def restart(time: int) -> Connection:
    return Connection(action=Action.SENSOR_START, sensor="s", time=time, boot_id=str(time))


@pytest.mark.parametrize("fields", KEYS)
def test_of_two_restarts_the_first_ended_the_session_in_every_order(fields: dict[str, object]) -> None:
    """By the second alone it would have been idle before."""
    records = [connect(at(10), **fields), restart(at(10) + MINUTE), restart(at(12))]
    for order in permutations(records):
        (session,) = Machine().feed(*(msgspec.structs.replace(one) for one in order)).sessions
        assert (session.end_reason, session.ended_at) == (EndReason.SENSOR_RESTART, at(10)), order


def test_a_restart_ends_what_is_open_where_memory_has_no_room_for_more_that_wait_for_late_records() -> None:
    """Its own ending lets go of others of the same sensor, which are about to be judged, too."""
    machine = Machine()
    machine.machine = Sessionizer(msgspec.structs.replace(limits_of(machine.settings), max_kept=3))
    machine.feed(connect(at(40.9), "open")).feed(*(connect(at(10), f"idle-{number}") for number in range(3)))
    machine.reach(at(41))
    machine.feed(restart(at(41.1)))
    ends = {session.session_id: session.end_reason for session in machine.sessions}
    idle = {f"idle-{number}": EndReason.IDLE_TIMEOUT for number in range(3)}
    assert ends == {"open": EndReason.SENSOR_RESTART, **idle}


@pytest.mark.parametrize("fields", KEYS[:2])
def test_an_idle_limit_that_was_over_before_the_restart_counts_in_every_order(fields: dict[str, object]) -> None:
    for order in permutations([connect(at(10), **fields), restart(at(11))]):
        (session,) = Machine().feed(*(msgspec.structs.replace(one) for one in order)).sessions
        assert session.end_reason is EndReason.IDLE_TIMEOUT


def test_the_end_of_a_device_that_its_sensors_restart_brought_is_a_missing_event() -> None:
    (session,) = Machine().feed(connect(at(10), mac="aa:bb", kind="Connected"), restart(at(11))).sessions
    assert (session.end_reason, session.disconnect_kind) == (EndReason.SENSOR_RESTART, "<missing event>")


def test_a_worker_that_takes_over_knows_when_the_restart_was() -> None:
    """What one session that it closed proves ends others that come late, and no others."""
    machine = Machine().feed(connect(at(10)), restart(at(10.5)))
    heir = machine.successor(2).feed(connect(at(10.4), "late"), connect(at(10.6), "next life"))
    assert heir.session("late").end_reason is EndReason.SENSOR_RESTART
    assert heir.session("next life").end_reason is EndReason.NONE
    assert heir.feed(activity(at(10.45))).session("a").end_reason is EndReason.SENSOR_RESTART
    assert heir.feed(disconnect(at(10.7))).session("a").end_reason is EndReason.DISCONNECT


def test_what_was_idle_before_the_restart_stays_so_when_a_worker_takes_over() -> None:
    """Another key's session proves the restart, at its own time and no earlier."""
    machine = Machine().feed(connect(at(10), **KEYS[1]), connect(at(10), **KEYS[2]), restart(at(11)))
    ends = [one.end_reason for one in machine.sessions]
    assert sorted(ends) == [EndReason.IDLE_TIMEOUT, EndReason.SENSOR_RESTART]
    heir = machine.successor(3).reach(at(24)).reach(at(25))
    assert [one.end_reason for one in heir.sessions] == ends


def test_what_an_api_wrote_to_a_session_is_no_restart() -> None:
    machine = Machine().feed(connect(at(10)), restart(at(10.5)))
    machine.feed(amend(machine.session("a"), paused=True))
    heir = machine.successor(3).feed(connect(at(10.6), "next life"))
    assert heir.session("next life").end_reason is EndReason.NONE
    assert heir.session("a").end_reason is EndReason.SENSOR_RESTART


def test_the_latest_restarts_are_kept() -> None:
    boots = Boots()
    for number in range(300):
        boots.add("s", number)
    assert (boots.latest("s"), boots.after("s", 250), boots.after("s", 299), boots.after("s", 0)) == (299, 251, 0, 200)
    assert boots.latest("other") == boots.after("other", 0) == 0
