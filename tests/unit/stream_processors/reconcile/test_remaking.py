"""Sessions made once more, and how far a sensor has come."""

import pytest

from schemas.records import Action, Connection, EndReason, Session, State
from schemas.settings import Sessions
from schemas.times import DAY, SECOND
from stream_processors.machine.limits import limits_of
from stream_processors.reconcile.reading import Identity, identity_of
from stream_processors.reconcile.remaking import Stored, remade, watermark_of
from tests.unit.stream_processors.machine import Machine, activity, amend, at, connect, disconnect, remove_device

LIMITS = limits_of(Sessions())


def stored(*records: Connection) -> list[Stored]:
    return [Stored(record, at(0) + number * SECOND) for number, record in enumerate(records)]


def made(*records: Connection, reached: int = 0, removals: list[Stored] | None = None) -> dict[str, Session]:
    found = remade(stored(*records), removals or [], {"s": reached}, LIMITS, at(24))
    return {session_id: session for (_, session_id), session in found.items()}


def test_the_same_records_make_what_the_running_machine_made() -> None:
    records = [
        connect(at(10)), activity(at(10.1)), disconnect(at(11)), connect(at(10), mac="aa:bb"),
        disconnect(at(12), mac="aa:bb"), connect(at(10), "idle", protocol="tcp"),
    ]  # fmt: skip
    for number, record in enumerate(records):
        record.source, record.positions, record.record_id = "e/t/0", [number], f"r{number}"
    running = Machine().feed(*records).reach(at(13))
    arrival = ("revision", "version", "created_at", "modified_at", "positions")
    expected = {one.session_id: one for one in running.sessions}
    found = made(*records, reached=at(13))
    assert found.keys() == expected.keys()
    for name, session in found.items():
        for field in Session.__struct_fields__:
            assert field in arrival or getattr(session, field) == getattr(expected[name], field), field


def test_what_the_sensor_has_come_to_decides_what_is_idle() -> None:
    assert made(connect(at(10)))["a"].state is State.OPEN
    assert made(connect(at(10)), reached=at(12))["a"].end_reason is EndReason.IDLE_TIMEOUT


def test_a_devices_removal_reaches_its_sessions_under_other_keys() -> None:
    own = Connection(action=Action.CONNECT, sensor="s", time=at(1), session_id="x", mac="AA-BB")
    removal = [Stored(remove_device("aa:bb", at(2)), at(0) + SECOND // 2)]
    later = Connection(action=Action.CONNECT, sensor="s", time=at(1), session_id="y", mac="AA-BB")
    found = made(own, later, removals=removal)
    assert (found["x"].removed, found["y"].removed) == (True, False)


def test_what_an_api_set_is_set_again() -> None:
    opened = connect(at(10))
    session = Machine().feed(opened).session("a")
    assert made(opened, amend(session, "q", paused=True))["a"].paused


@pytest.mark.parametrize(
    ("latest", "reached"),
    [([9], 9), ([9, 8], 9), ([9, 8, 7], 9), ([9 * DAY, 8 * DAY, DAY], DAY)],
)
def test_one_wild_clock_moves_no_sensor(latest: list[int], reached: int) -> None:
    assert watermark_of(latest) == reached


@pytest.mark.parametrize(
    ("key", "identity"),
    [
        (["aabb"], Identity("device", "", "aabb")),
        (["s", "x"], Identity("id", "s", "x")),
        (["s", "ssh", "boot/7"], Identity("process", "s", "boot/7")),
        (["s", "tcp", "2001:db8::1:22", "10.0.0.1:80"], Identity("address", "s", "2001:db8::1")),
    ],
)
def test_every_key_is_found_by_what_its_rows_say(key: list[str], identity: Identity) -> None:
    assert identity_of(key) == identity
