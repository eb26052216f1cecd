import msgspec

from producers.kafka.holes import Gap, HoleCheck, expects_no_holes
from schemas.settings import Kafka


class Record(msgspec.Struct, frozen=True):
    offset: int


def records(*offsets: int) -> list[Record]:
    return [Record(offset) for offset in offsets]


def offsets(found: object) -> list[int]:
    return [record.offset for record in found]  # type: ignore[attr-defined]


def test_a_contiguous_fetch_passes_untouched() -> None:
    check = HoleCheck(3.0, expected=5)
    fetched = records(5, 6, 7)
    assert check.feed(fetched, 0.0).good is fetched
    assert check.expected == 8
    assert check.seen == 0


def test_without_an_expected_offset_the_first_record_begins_the_log() -> None:
    check = HoleCheck(3.0)
    assert offsets(check.feed(records(40, 41), 0.0).good) == [40, 41]
    assert check.expected == 42


def test_records_before_a_hole_are_used_and_the_hole_is_read_again() -> None:
    check = HoleCheck(3.0, expected=0)
    checked = check.feed(records(0, 1, 4, 5), 10.0)
    assert offsets(checked.good) == [0, 1]
    assert checked.seek_to == 2
    assert checked.passed == []


def test_a_hole_that_fills_costs_nothing() -> None:
    check = HoleCheck(3.0, expected=0)
    check.feed(records(0, 2), 10.0)
    checked = check.feed(records(1, 2, 3), 10.1)
    assert offsets(checked.good) == [1, 2, 3]
    assert checked.seek_to is None
    assert checked.passed == []
    assert check.seen == 1


def test_a_hole_that_stays_is_passed_after_the_wait_and_reported_with_its_range() -> None:
    check = HoleCheck(3.0, expected=0)
    check.feed(records(0, 3), 10.0)
    assert check.feed(records(3), 12.9).seek_to == 1
    checked = check.feed(records(3, 4), 13.0)
    assert checked.passed == [Gap(1, 2)]
    assert offsets(checked.good) == [3, 4]
    assert check.expected == 5


def test_each_hole_waits_for_itself() -> None:
    check = HoleCheck(3.0, expected=0)
    check.feed(records(1, 3), 0.0)
    checked = check.feed(records(1, 3), 3.0)
    assert checked.passed == [Gap(0, 0)]
    assert offsets(checked.good) == [1]
    assert checked.seek_to == 2
    assert check.feed(records(3), 5.9).passed == []
    assert check.feed(records(3), 6.0).passed == [Gap(2, 2)]
    assert check.seen == 2


def test_a_wait_of_zero_passes_holes_at_once() -> None:
    checked = HoleCheck(0.0, expected=0).feed(records(2, 5), 0.0)
    assert checked.passed == [Gap(0, 1), Gap(3, 4)]
    assert offsets(checked.good) == [2, 5]
    assert checked.seek_to is None


def test_records_delivered_twice_are_left_out() -> None:
    check = HoleCheck(3.0, expected=3)
    assert offsets(check.feed(records(1, 2, 3, 4), 0.0).good) == [3, 4]
    assert offsets(check.feed(records(3, 4), 0.0).good) == []
    assert check.expected == 5


def test_holes_are_normal_in_compacted_topics_of_apache_kafka_only() -> None:
    assert expects_no_holes(Kafka(), "sensor.events")
    assert expects_no_holes(Kafka(), "sessions")
    assert not expects_no_holes(Kafka(embedded=False), "sessions")
    assert expects_no_holes(Kafka(embedded=False), "sensor.events")
    assert not expects_no_holes(Kafka(embedded=False, contiguous=False), "sensor.events")
