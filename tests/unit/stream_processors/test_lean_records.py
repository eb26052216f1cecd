"""A whole fetch at once."""

import gc
import weakref

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from stream_processors.lean_records import LeanRecords


def fetch(*offsets: range, begin: int = 0) -> LeanRecords:
    """A fetch from ``begin`` on, of batches with these offsets."""
    raw = b""
    for batch in offsets:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
        for number, offset in enumerate(batch):
            builder.append(number, 1000, b"key", b"%d" % offset, [])
        raw += batch.start.to_bytes(8, "big") + bytes(builder.build())[8:]
    place = TopicPartition("events", 0)
    return LeanRecords(place, MemoryRecords(raw), [], begin, None, None, True, READ_UNCOMMITTED)


def test_all_of_a_fetch_is_taken_in_order_and_reading_goes_on_behind_it() -> None:
    records = fetch(range(3), range(3, 5))
    assert [record.value for record in records.take_all()] == [b"0", b"1", b"2", b"3", b"4"]
    assert records.next_fetch_offset == 5


def test_what_stands_before_the_offset_that_was_asked_for_is_left_out() -> None:
    assert [record.offset for record in fetch(range(10, 14), begin=12).take_all()] == [12, 13]


def test_a_fetch_that_was_taken_is_let_go_without_the_collector() -> None:
    gc.disable()
    try:
        records = fetch(range(3))
        gone = weakref.ref(records)
        taken = records.take_all()
        del records
        assert len(taken) == 3
        assert gone() is None
    finally:
        gc.enable()
