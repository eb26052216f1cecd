"""Which sessions a machine starts from: ClickHouse, overlaid by what the sink has not stored yet."""

import msgspec

from schemas.records import DurationQuality, EndReason, Session, State
from stream_processors.restore import Tail, overlaid

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


def names(stored: list[Session], tail: Tail) -> dict[str, int]:
    found = list(overlaid(stored, tail, SINCE))
    assert len({each.session_id for each in found}) == len(found)
    return {each.session_id: each.revision for each in found}


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
