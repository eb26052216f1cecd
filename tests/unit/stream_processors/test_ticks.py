"""What is said of a source's event time, and when."""

from schemas.times import DAY
from stream_processors.ticks import SourceClock, due_ticks

HOUR = 3_600_000_000


def test_a_tick_tells_the_highest_time_of_each_sensor_that_moved() -> None:
    clock = SourceClock("e/t/0")
    clock.observe({"a": [5, 9, 7], "b": [3]})
    tick = clock.tick(True)
    assert tick is not None
    assert (tick.source, tick.caught_up, tick.sensors) == ("e/t/0", True, {"a": 9, "b": 3})


def test_nothing_is_said_while_nothing_changes() -> None:
    clock = SourceClock("e/t/0")
    assert clock.tick(True) is not None
    assert clock.tick(True) is None
    clock.observe({"a": [5]})
    assert clock.tick(True) is not None
    clock.observe({"a": [4]})
    assert clock.tick(True) is None


def test_after_a_rebalance_everything_is_said_again() -> None:
    clock = SourceClock("e/t/0")
    clock.observe({"a": [5], "b": [7]})
    clock.tick(True)
    clock.repeat()
    tick = clock.tick(True)
    assert tick is not None
    assert (tick.caught_up, tick.sensors) == (True, {"a": 5, "b": 7})


def test_catching_up_is_said_without_a_record() -> None:
    clock = SourceClock("e/t/0")
    clock.observe({"a": [5]})
    clock.tick(False)
    tick = clock.tick(True)
    assert tick is not None
    assert tick.caught_up
    assert tick.sensors == {}


def test_the_first_tick_tells_where_a_source_stands() -> None:
    # Its reader before may have died after saying that it was behind.
    tick = SourceClock("e/t/0").tick(True)
    assert tick is not None
    assert tick.caught_up


def test_a_wild_clock_moves_nothing_until_others_confirm_it() -> None:
    clock = SourceClock("e/t/0")
    clock.observe({"a": [HOUR, 400 * DAY]})
    tick = clock.tick(True)
    assert tick is not None
    assert tick.sensors == {"a": HOUR}
    clock.observe({"a": [400 * DAY + 1, 400 * DAY + 2]})
    tick = clock.tick(True)
    assert tick is not None
    assert tick.sensors == {"a": 400 * DAY}


def begun(source: str, **times: list[int]) -> SourceClock:
    clock = SourceClock(source)
    clock.observe(times)
    return clock


def test_sources_that_are_behind_speak_first() -> None:
    ahead, behind = begun("e/t/0", a=[9]), begun("e/t/1", a=[5])
    assert [tick.source for tick in due_ticks([(ahead, True), (behind, False)])] == ["e/t/1", "e/t/0"]


def test_nobody_speaks_while_a_source_with_a_backlog_is_unknown() -> None:
    ahead, unknown = begun("e/t/0", a=[9]), SourceClock("e/t/1")
    assert due_ticks([(ahead, True), (unknown, False)]) == []
    unknown.observe({})
    assert len(due_ticks([(ahead, True), (unknown, False)])) == 2


def test_an_empty_source_keeps_nobody_waiting() -> None:
    assert len(due_ticks([(begun("e/t/0", a=[9]), True), (SourceClock("e/t/1"), True)])) == 2
