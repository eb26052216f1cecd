"""What a store and the tail of ``sessions`` know together of sessions that were asked for."""

from schemas.records import Action, Connection, Session
from stream_processors.finding import latest_of_keys, latest_of_writes
from stream_processors.machine.writes import Write


def session(name: str, revision: int = 1, **fields: object) -> Session:
    known: dict[str, object] = {"sensor": "s", "key": f'["s","{name}"]'}
    return Session(session_id=name, revision=revision, **{**known, **fields})  # type: ignore[arg-type]


def tail_of(*sessions: Session) -> dict[tuple[str, str], Session]:
    return {(one.sensor, one.session_id): one for one in sessions}


def write(offset: int = 0, **fields: str) -> Write:
    return Write(b"k", Connection(action=Action.REMOVE, sensor="s", time=1, **fields), 1, offset)  # type: ignore[arg-type]


def test_the_newest_version_of_each_wins_wherever_it_stands() -> None:
    key = b'["s","a"]'
    assert latest_of_keys([key], [session("a", 1)], tail_of(session("a", 2)))[key][0].revision == 2
    assert latest_of_keys([key], [session("a", 3)], tail_of(session("a", 2)))[key][0].revision == 3


def test_an_end_that_waits_is_no_answer_and_what_nobody_knows_is_empty() -> None:
    keys = [b'["s","a"]', b'["s","b"]']
    assert latest_of_keys(keys, [], tail_of(session("a", held=True))) == {keys[0]: [], keys[1]: []}


def test_a_device_is_found_in_every_spelling_by_every_sensor_and_key() -> None:
    stored = [session("a", mac="AA:BB"), session("b", mac="aabb", sensor="t"), session("c", mac="cc"), session("d")]
    tail = tail_of(session("e", mac="aa-bb"), session("a", 5, mac="AA:BB", removed=True))
    [(_, found)] = latest_of_writes([write(mac="AA.BB")], stored, tail)
    assert {(one.session_id, one.removed) for one in found} == {("a", True), ("b", False), ("e", False)}


def test_each_write_gets_its_own_answer() -> None:
    stored = [session("a"), session("b", mac="aabb")]
    answers = latest_of_writes([write(session_id="a"), write(1, session_id="x"), write(2, mac="aa:bb")], stored, {})
    assert [[one.session_id for one in found] for _, found in answers] == [["a"], [], ["b"]]
