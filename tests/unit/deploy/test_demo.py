import json

from deploy.demo import made_fresh, recording
from schemas.times import parse_time

NOW = parse_time("2030-01-01T00:00:00Z")


def test_the_recording_ends_now_and_keeps_its_gaps() -> None:
    before = [parse_time(json.loads(line)["timestamp"]) for line in recording()]
    after = [parse_time(json.loads(line)["timestamp"]) for line in made_fresh(recording(), NOW, "run").lines]
    assert max(after) == NOW
    assert {new - old for old, new in zip(before, after, strict=True)} == {NOW - max(before)}


def test_every_run_has_session_ids_of_its_own() -> None:
    one, other = made_fresh(recording(), NOW, "one"), made_fresh(recording(), NOW, "other")
    assert len(one.session_ids) == 8
    assert not set(one.session_ids) & set(other.session_ids)
    assert made_fresh(recording(), NOW, "one") == one


def test_nothing_of_the_old_ids_is_left() -> None:
    old = {json.loads(line)["session"].encode() for line in recording()}
    text = b"\n".join(made_fresh(recording(), NOW, "run").lines)
    assert not [each for each in old if each in text]
