"""Stored sessions against remade ones: what counts, what is left alone, and the version that repairs."""

import msgspec

from schemas.records import EndReason, Session, State
from stream_processors.machine.amending import REPLACED
from stream_processors.reconcile.comparing import Difference, Kind, compared


def session(**fields: object) -> Session:
    known: dict[str, object] = {
        "session_id": "a",
        "sensor": "s",
        "key": '["s","a"]',
        "state": State.CLOSED,
        "end_reason": EndReason.DISCONNECT,
        "started_at": 10,
        "ended_at": 20,
        "revision": 7,
        "version": 2,
    }
    return Session(**{**known, **fields})  # type: ignore[arg-type]


def differences(stored: Session | None, remade: Session | None) -> list[Difference]:
    return compared(*({(one.sensor, one.session_id): one} if one else {} for one in (stored, remade)))


def test_what_only_the_order_of_arrival_decides_is_no_difference() -> None:
    other = session(revision=9, version=8, created_at=1, modified_at=2, positions={"x": 1}, requests=("q",))
    assert differences(session(), other) == []


def test_every_other_field_counts_and_the_repair_outranks_what_is_stored() -> None:
    stored = session(ended_at=99, client_ip="x", revision=5 << 56, version=4, positions={"p": 3, "q": 1}, created_at=5)
    [found] = differences(stored, session(positions={"p": 2, "r": 1}))
    assert (found.kind, found.fields) == (Kind.DIFFERENT, {"ended_at": (99, 20), "client_ip": ("x", "")})
    repair = found.repair
    assert repair is not None
    assert (repair.ended_at, repair.client_ip, repair.created_at) == (20, "", 5)
    assert (repair.revision, repair.version) == ((5 << 56) + 1, 5)
    assert repair.positions == {"p": 3, "q": 1, "r": 1}


def test_a_session_that_is_missing_is_made_of_its_records() -> None:
    [found] = differences(None, session())
    assert (found.kind, found.repair) == (Kind.MISSING, session())


def test_what_no_record_makes_is_named_and_left_alone() -> None:
    [found] = differences(session(), None)
    assert (found.kind, found.repair) == (Kind.SURPLUS, None)


def test_removed_sessions_stay_removed() -> None:
    assert differences(session(removed=True), session()) == []
    assert differences(session(removed=True), None) == []
    assert differences(None, session(removed=True)) == []
    [found] = differences(session(removed=True, ended_at=99), session())
    assert found.repair is not None
    assert found.repair.removed
    [shown] = differences(session(), session(removed=True))
    assert shown.fields == {"removed": (False, True)}


def test_what_was_never_shown_is_nobodys_loss() -> None:
    for hidden in ({"held": True}, {"removed": True, "flags": [REPLACED]}):
        assert differences(session(**hidden), None) == []
        assert differences(None, session(**hidden)) == []
    [back] = differences(session(removed=True, flags=[REPLACED], revision=5 << 56), session())
    assert back.kind is Kind.MISSING
    assert back.repair is not None
    assert (back.repair.removed, back.repair.revision > 5 << 56) == (False, True)


def test_an_eviction_stays_until_evidence_comes() -> None:
    evicted = session(end_reason=EndReason.EVICTED, ended_at=10)
    still_open = session(state=State.OPEN, end_reason=EndReason.NONE, ended_at=None)
    assert differences(evicted, still_open) == []
    assert len(differences(evicted, session())) == 1


def test_a_repair_changes_none_of_what_it_was_made_of() -> None:
    stored, remade = session(ended_at=99), session()
    copies = msgspec.structs.replace(stored), msgspec.structs.replace(remade)
    differences(stored, remade)
    assert (stored, remade) == copies
