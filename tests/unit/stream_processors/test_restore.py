"""Which sessions a machine starts from: ClickHouse, overlaid by what the sink has not stored yet."""

from collections.abc import Iterable

import msgspec

from schemas.records import DurationQuality, EndReason, Session, State
from schemas.settings import Sessions
from stream_processors.machine.amending import REPLACED
from stream_processors.machine.limits import limits_of
from stream_processors.machine.sessionizer import Sessionizer
from stream_processors.machine.stored_session import StoredSession
from stream_processors.restore import Tail, take_back
from tests.unit.stream_processors.machine import Machine, at, connect, disconnect

SINCE = 1_000


def session(name: str, revision: int, end: EndReason = EndReason.NONE, key: str = "", modified_at: int = 0) -> Session:
    return Session(
        session_id=name,
        sensor="s",
        key=key or msgspec.json.encode(("s", name)).decode(),
        state=State.OPEN if end is EndReason.NONE else State.CLOSED,
        end_reason=end,
        duration_quality=DurationQuality.UNKNOWN,
        revision=revision,
        modified_at=modified_at,
    )


def tail_of(*sessions: Session) -> Tail:
    return {(each.sensor, each.session_id): each for each in sessions}


class Taken(Sessionizer):
    """A machine that only notes what it is given."""

    def __init__(self) -> None:
        super().__init__(limits_of(Sessions()), True)
        self.names: list[tuple[str, int]] = []

    def restore_stored(self, stored: StoredSession, value: bytes) -> bool:
        self.names.append((stored.session_id, stored.revision))
        return True

    def restore(self, sessions: Iterable[Session]) -> None:
        self.names.extend((session.session_id, session.revision) for session in sessions)


def rows(*sessions: Session) -> list[tuple[StoredSession, bytes]]:
    """As ``stored_sessions`` gives them, all of partition 0."""
    values = [
        msgspec.json.encode(
            {"partition": 0, "paired": len(msgspec.json.decode(one.key)) != 2, **msgspec.to_builtins(one)}
        )
        for one in sessions
    ]
    return [(msgspec.json.decode(value, type=StoredSession), value) for value in values]


def names(stored: list[Session], tail: Tail) -> dict[str, int]:
    machine = Taken()
    take_back({0: machine}, rows(*stored), {0: tail}, SINCE)
    assert len(dict(machine.names)) == len(machine.names)
    return dict(machine.names)


def test_the_tail_knows_newer_versions() -> None:
    assert names([session("a", 1)], tail_of(session("a", 5))) == {"a": 5}


def test_the_store_may_be_ahead_of_the_tail() -> None:
    assert names([session("a", 7)], tail_of(session("a", 5))) == {"a": 7}


def test_what_the_tail_saw_closed_by_evidence_is_not_open_any_more() -> None:
    assert names([session("a", 1)], tail_of(session("a", 5, EndReason.DISCONNECT))) == {}


def test_a_guessed_close_comes_back_because_a_late_record_may_undo_it() -> None:
    assert names([], tail_of(session("a", 5, EndReason.IDLE_TIMEOUT))) == {"a": 5}


def test_the_last_session_of_a_key_without_id_comes_back_however_it_ended() -> None:
    assert names([], tail_of(session("a", 5, EndReason.DISCONNECT, key='["aabbccddeeff"]'))) == {"a": 5}


def test_what_only_the_tail_has_comes_too() -> None:
    assert names([session("a", 1)], tail_of(session("b", 2))) == {"a": 1, "b": 2}


def test_a_session_whose_last_record_may_be_read_again_comes_back_however_it_ended() -> None:
    tail = tail_of(
        session("before", 5, EndReason.DISCONNECT, modified_at=SINCE - 1),
        session("after", 5, EndReason.DISCONNECT, modified_at=SINCE),
    )
    assert names([], tail) == {"after": 5}


def test_a_session_that_became_another_one_does_not_come_back() -> None:
    gone = session("a", 5)
    gone.removed, gone.flags = True, [REPLACED]
    assert names([], tail_of(gone)) == {}


def test_what_was_kept_as_bytes_goes_on_like_any_other() -> None:
    machine = Machine().feed(
        connect(at(10), "open"),
        connect(at(10), "idle", protocol="udp"),
        disconnect(at(10), "held"),
        connect(at(10), mac="aa:bb"),
        connect(at(10), "done"),
        disconnect(at(10.01), "done"),
    )
    machine.reach(at(10.1), after=1)
    heir = Machine()
    heir.stored = dict(machine.stored)
    take_back({0: heir.machine}, rows(*machine.stored.values()), {0: {}}, SINCE)
    assert heir.machine.open_sessions == 1
    assert heir.machine.watermarks.of("s") == at(10.01)
    heir.feed(
        disconnect(at(11), "open"), disconnect(at(11), "idle"), connect(at(9), "held"), disconnect(at(11), mac="aa:bb")
    )
    assert {one.session_id or one.mac: one.duration for one in heir.sessions if not one.mac} == {
        "open": 3600.0,
        "idle": 3600.0,
        "held": 3600.0,
        "done": 36.0,
    }
    assert [one.duration for one in heir.sessions if one.mac] == [3600.0]


def test_a_restored_session_goes_idle_by_the_watermark_alone() -> None:
    machine = Machine().feed(connect(at(10), attributes={"state": "closed", "key": "x"}))
    heir = Machine()
    heir.stored = dict(machine.stored)
    take_back({0: heir.machine}, rows(*machine.stored.values()), {0: {}}, SINCE)
    assert heir.reach(at(12)).session("a").end_reason is EndReason.IDLE_TIMEOUT
