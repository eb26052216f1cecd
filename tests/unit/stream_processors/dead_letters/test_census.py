"""Counting dead letters by distinct key."""

from itertools import count

import msgspec
import pytest

from schemas.dead_letters import DeadLetter, Reason, Stage
from stream_processors.dead_letters.reading import Census, TooManyLettersError, Wanted

_OFFSETS = count()


class Raw(msgspec.Struct):
    """A message as it was read."""

    key: bytes | None
    value: bytes | None
    headers: tuple[()] = ()
    timestamp: int = 0
    offset: int = msgspec.field(default_factory=lambda: next(_OFFSETS))


def letter(offset: int, reason: Reason = Reason.NOT_JSON, stage: Stage = Stage.ROUTE) -> DeadLetter:
    return DeadLetter(stage=stage, reason=reason, topic="sensor.events", partition=0, offset=offset, epoch="e1")


def written(one: DeadLetter) -> Raw:
    return Raw(one.message_key(), msgspec.json.encode(one))


def mark(one: DeadLetter) -> Raw:
    return Raw(one.message_key(), None)


def test_a_letter_written_twice_is_one() -> None:
    counted = Census(Wanted())
    counted.add([written(letter(1)), written(letter(2)), written(letter(1))])
    assert (counted.open, counted.settled) == (2, 0)


def test_stages_write_letters_of_their_own() -> None:
    counted = Census(Wanted())
    counted.add([written(letter(1)), written(letter(1, stage=Stage.SINK))])
    assert counted.open == 2


def test_a_mark_settles_its_letter_also_when_a_crashed_stage_writes_it_again() -> None:
    counted = Census(Wanted())
    counted.add([written(letter(1)), written(letter(2)), mark(letter(1)), written(letter(1))])
    assert (counted.open, counted.settled) == (1, 1)
    assert counted.is_settled(letter(1).message_key())
    assert not counted.is_settled(letter(2).message_key())


def test_only_what_is_wanted_counts() -> None:
    everything = [written(letter(1)), written(letter(2, Reason.HOLE)), written(letter(3, Reason.HOLE, Stage.SINK))]
    found = []
    for wanted in (Wanted(), Wanted(reason=Reason.HOLE), Wanted(Reason.HOLE, Stage.SINK), Wanted(Reason.TOO_LARGE)):
        counted = Census(wanted)
        counted.add(everything)
        found.append(counted.open)
    assert found == [3, 2, 1, 0]


def test_a_message_that_is_no_letter_is_counted_apart() -> None:
    counted = Census(Wanted())
    counted.add([Raw(b"k", b"{broken"), Raw(None, b"{}"), Raw(b"k", b'{"reason":"nonsense","stage":"route"}')])
    assert (counted.open, counted.foreign) == (0, 3)


def test_more_letters_than_it_remembers_are_refused_with_the_offset_to_go_on_from() -> None:
    counted = Census(Wanted(), most=3)
    counted.add([written(letter(number)) for number in (1, 2, 3, 3)])
    fourth = written(letter(4))
    with pytest.raises(TooManyLettersError, match=f"--from {fourth.offset} "):
        counted.add([fourth])
