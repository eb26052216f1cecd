"""When a block begins: at once in a quiet partition, after the interval in a busy one, when there is a full one."""

import asyncio

import msgspec
from aiokafka import TopicPartition

from producers.kafka.consumer import Fetched
from producers.kafka.holes import Gap
from producers.kafka.publisher import Publisher
from schemas.settings import Kafka
from stream_processors.sink.answers import FencedError
from stream_processors.sink.ledger import Ledger
from stream_processors.sink.owned import Owned
from stream_processors.sink.places import Place
from stream_processors.sink.spool import Block

PLACE = Place("epoch", "sensor.events", 0)
INTERVAL = 0.2


class Message(msgspec.Struct, frozen=True):
    offset: int
    value: bytes | None = b'{"sensor":"s","time":1}'
    key: bytes | None = None
    timestamp: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


class Store:
    """Takes blocks when it is told to."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.open = asyncio.Event()
        self.error: Exception | None = None

    async def store(self, ledger: Ledger, owner: int, block: Block) -> None:
        self.blocks.append(block)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        ledger.done = block.last + 1


def owned_by(store: Store, flush_rows: int = 100) -> tuple[Owned, list[Owned]]:
    ended: list[Owned] = []
    owned = Owned(
        PLACE,
        1,
        Ledger(PLACE, 0, 0),
        store,  # type: ignore[arg-type]
        Publisher(Kafka()),
        asyncio.Semaphore(1),
        flush_rows,
        ended.append,
    )
    return owned, ended


def fetched(first: int, count: int, passed: list[Gap] | None = None) -> Fetched:
    messages = [Message(offset) for offset in range(first, first + count)]
    return Fetched(TopicPartition("sensor.events", 0), "epoch", messages, passed or [])


async def settle(owned: Owned) -> None:
    for _ in range(100):
        if not owned.busy:
            return
        await asyncio.sleep(0)
    raise AssertionError("the block never ended")


async def test_the_first_record_of_a_quiet_partition_waits_for_nothing() -> None:
    owned, _ = owned_by(Store())
    assert owned.due_in(1000.0, INTERVAL) is None
    await owned.take(fetched(0, 1))
    assert owned.due_in(1000.0, INTERVAL) == 0.0


async def test_the_next_block_waits_for_the_one_under_way_and_for_the_interval() -> None:
    store = Store()
    owned, _ = owned_by(store)
    await owned.take(fetched(0, 1))
    owned.start_block()
    await owned.take(fetched(1, 1))
    assert owned.due_in(1000.0, INTERVAL) is None
    store.open.set()
    await settle(owned)
    begun = owned._begun
    due = owned.due_in(begun + 0.05, INTERVAL)
    assert due is not None
    assert abs(due - 0.15) < 1e-6
    assert owned.due_in(begun + INTERVAL, INTERVAL) == 0.0


async def test_a_full_block_waits_for_no_interval() -> None:
    store = Store()
    store.open.set()
    owned, _ = owned_by(store, flush_rows=5)
    await owned.take(fetched(0, 1))
    owned.start_block()
    await settle(owned)
    await owned.take(fetched(1, 5))
    assert owned.due_in(owned._begun, INTERVAL) == 0.0


async def test_what_is_settled_moves_the_offset_and_is_announced() -> None:
    store = Store()
    store.open.set()
    owned, ended = owned_by(store, flush_rows=5)
    await owned.take(fetched(0, 7))
    owned.start_block()
    await settle(owned)
    assert owned.ledger.done == 5
    assert ended == [owned]
    assert [(block.first, block.last) for block in store.blocks] == [(0, 4)]


async def test_fenced_is_announced_and_no_further_block_begins() -> None:
    store = Store()
    store.open.set()
    store.error = FencedError("fenced")
    owned, ended = owned_by(store, flush_rows=5)
    await owned.take(fetched(0, 7))
    owned.start_block()
    await settle(owned)
    assert owned.fenced
    assert ended == [owned]
    assert owned.ledger.done == 0
    assert owned.due_in(1e9, INTERVAL) is None
    owned.start_block()
    assert not owned.busy


async def test_after_a_failure_no_further_block_begins() -> None:
    """Its settling would move the offset over the block that failed."""
    store = Store()
    store.open.set()
    store.error = RuntimeError("nobody foresaw it")
    owned, ended = owned_by(store, flush_rows=5)
    await owned.take(fetched(0, 12))
    owned.start_block()
    await settle(owned)
    assert owned.failure is store.error
    assert ended == [owned]
    store.error = None
    assert owned.due_in(1e9, INTERVAL) is None
    owned.start_block()
    assert not owned.busy
    assert owned.ledger.done == 0


async def test_finishing_everything_settles_what_waits_too() -> None:
    store = Store()
    store.open.set()
    owned, _ = owned_by(store, flush_rows=5)
    await owned.take(fetched(0, 12))
    await owned.finish(5.0, everything=True)
    assert owned.ledger.done == 12


async def test_finishing_only_the_block_under_way_drops_what_waits() -> None:
    store = Store()
    owned, _ = owned_by(store, flush_rows=5)
    await owned.take(fetched(0, 12))
    owned.start_block()
    store.open.set()
    await owned.finish(5.0, everything=False)
    assert owned.ledger.done == 5


async def test_a_block_that_does_not_end_in_time_is_dropped_without_moving_the_offset() -> None:
    owned, _ = owned_by(Store())
    await owned.take(fetched(0, 3))
    owned.start_block()
    await owned.finish(0.01, everything=False)
    assert not owned.busy
    assert owned.ledger.done == 0
