"""When blocks begin while ClickHouse is behind: full ones are waited for as long as they can become full."""

import asyncio
import time

import msgspec
import pytest
from aiokafka import TopicPartition

from producers.kafka.consumer import Fetched
from schemas.settings import Settings
from stream_processors.sink.owned import Owned
from stream_processors.sink.sink import Sink
from tests.unit.stream_processors.sink.test_owned import Message, Store, owned_by


class FarBehind:
    """A consumer of logs that are much longer than what was read of them."""

    def __init__(self) -> None:
        self.paused: set[TopicPartition] = set()

    def highwater(self, _: TopicPartition) -> int:
        return 1_000_000

    def pause(self, partition: TopicPartition) -> None:
        self.paused.add(partition)

    def resume(self, partition: TopicPartition) -> None:
        self.paused.discard(partition)


async def sink_with(rows: list[int]) -> tuple[Sink, FarBehind, list[Store]]:
    """A sink of blocks of 100 rows whose partitions wait with so many rows, each having begun a block just now."""
    settings = Settings(sink=msgspec.structs.replace(Settings().sink, flush_rows=100, flush_ms_busy=600_000))
    sink, consumer, stores = Sink(settings, "test"), FarBehind(), []
    sink._consumer = consumer  # type: ignore[assignment]
    for number, count in enumerate(rows):
        store = Store()
        owned, _ = owned_by(store)
        partition = TopicPartition("sensor.events", number)
        await owned.take(Fetched(partition, "epoch", [Message(offset) for offset in range(count)]))
        owned._begun = time.monotonic()
        sink._owned[partition] = owned
        stores.append(store)
    return sink, consumer, stores


def busy(sink: Sink) -> list[bool]:
    return [owned.busy for owned in sink._owned.values()]


async def end(owned: list[Owned], stores: list[Store]) -> None:
    for store in stores:
        store.open.set()
    await asyncio.gather(*(one.finish(5, everything=False) for one in owned))


@pytest.mark.parametrize("rows", [[10, 60, 50], [99, 99]])
async def test_blocks_that_may_become_full_are_waited_for(rows: list[int]) -> None:
    sink, consumer, stores = await sink_with(rows)
    sink._regulate()
    sink._start_due()
    assert busy(sink) == [False] * len(rows)
    assert not consumer.paused
    await end(list(sink._owned.values()), stores)


async def test_where_no_more_is_read_the_fullest_begin_at_once() -> None:
    sink, consumer, stores = await sink_with([40, 70, 60, 50])
    sink._regulate()
    assert len(consumer.paused) == 4
    sink._start_due()
    assert busy(sink) == [False, True, True, False]
    sink._start_due()
    assert busy(sink) == [False, True, True, False], "as many as are inserted at once"
    await end(list(sink._owned.values()), stores)


async def test_when_a_block_ends_the_next_fullest_begins() -> None:
    sink, _, stores = await sink_with([40, 70, 60, 50])
    sink._regulate()
    sink._start_due()
    stores[1].open.set()
    first = sink._owned[TopicPartition("sensor.events", 1)]
    await first.finish(5, everything=False)
    sink._start_due()
    assert busy(sink) == [False, False, True, True]
    await end(list(sink._owned.values()), stores)
