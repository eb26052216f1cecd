import msgspec

from schemas.records import Event
from stream_processors.sink.spool import Spool


class Message(msgspec.Struct, frozen=True):
    offset: int
    value: bytes | None = b"12345678"
    key: bytes | None = None
    timestamp: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


def event(offset: int, index: int = 0) -> Event:
    return Event(sensor="s", time=offset, offset=offset, index=index)


def add(spool: Spool, first: int, count: int, rows_each: int = 1, now: float = 0.0) -> None:
    rows = [event(offset, index) for offset in range(first, first + count) for index in range(rows_each)]
    messages = [Message(offset) for offset in range(first, first + count)]
    spool.add(rows, [row.offset for row in rows], messages, 8 * count, first + count, now)


def test_an_empty_spool_has_no_block() -> None:
    assert Spool(7).cut(10, 1000, 0, 0.0) is None


def test_all_that_waits_is_one_block_up_to_the_limit() -> None:
    spool = Spool(7)
    add(spool, 7, 3)
    add(spool, 10, 2)
    block = spool.cut(10, 1000, 99, 1.0)
    assert block is not None
    assert (block.first, block.last, block.ingested_at) == (7, 11, 99)
    assert [row.offset for row in block.rows] == [7, 8, 9, 10, 11]
    assert (len(spool), spool.bytes, spool.since) == (0, 0, None)


def test_blocks_are_contiguous_and_never_larger_than_the_limit() -> None:
    spool = Spool(0)
    add(spool, 0, 25)
    blocks = [spool.cut(10, 1000, 0, 0.0) for _ in range(3)]
    assert [(b.first, b.last, len(b.rows), len(b.messages)) for b in blocks if b] == [
        (0, 9, 10, 10),
        (10, 19, 10, 10),
        (20, 24, 5, 5),
    ]
    assert spool.cut(10, 1000, 0, 0.0) is None


def test_records_of_one_message_stay_together() -> None:
    spool = Spool(0)
    add(spool, 0, 4, rows_each=3)
    block = spool.cut(4, 1000, 0, 0.0)
    assert block is not None
    assert block.part().positions() == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert block.last == 1


def test_a_message_with_more_rows_than_the_limit_is_one_block() -> None:
    spool = Spool(5)
    add(spool, 5, 1, rows_each=7)
    block = spool.cut(2, 1000, 0, 0.0)
    assert block is not None
    assert (block.first, block.last, len(block.rows)) == (5, 5, 7)


def test_messages_without_rows_are_part_of_the_range() -> None:
    spool = Spool(0)
    spool.add([event(1)], [1], [Message(0), Message(1), Message(2)], 24, 3, 0.0)
    block = spool.cut(10, 1000, 0, 0.0)
    assert block is not None
    assert (block.first, block.last, len(block.rows)) == (0, 2, 1)
    spool.add([], [], [Message(3)], 8, 4, 0.0)
    block = spool.cut(10, 1000, 0, 0.0)
    assert block is not None
    assert (block.first, block.last, len(block.rows)) == (3, 3, 0)


def test_a_block_has_no_more_bytes_than_allowed_but_always_one_message() -> None:
    spool = Spool(0)
    add(spool, 0, 6)
    sizes = []
    while (block := spool.cut(100, 20, 0, 0.0)) is not None:
        sizes.append((block.first, block.last, len(block.rows)))
    assert sizes == [(0, 1, 2), (2, 3, 2), (4, 5, 2)]
    add(spool, 6, 2)
    block = spool.cut(100, 3, 0, 0.0)
    assert block is not None
    assert (block.first, block.last) == (6, 6)


def test_what_is_left_counts_as_waiting_from_the_cut_on() -> None:
    spool = Spool(0)
    add(spool, 0, 5, now=10.0)
    assert spool.since == 10.0
    spool.cut(3, 1000, 0, 12.0)
    assert spool.since == 12.0
    spool.cut(3, 1000, 0, 13.0)
    assert spool.since is None


def test_the_message_of_a_row_is_found_by_its_offset() -> None:
    spool = Spool(0)
    add(spool, 0, 3)
    block = spool.cut(10, 1000, 0, 0.0)
    assert block is not None
    found = block.message_at(1)
    assert found is not None
    assert found.offset == 1
    assert block.message_at(9) is None
