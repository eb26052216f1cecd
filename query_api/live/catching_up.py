"""From where a client was to where the shared reader is: read at the client's own pace, so nothing is lost here."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from producers.kafka.consumer import Fetched, LogConsumer
from producers.kafka.epochs import TopicsError, partitions_of
from query_api.live.items import Item, View
from query_api.live.positions import Positions, Within, written
from query_api.live.reading import TOPICS, items_of
from schemas.settings import Kafka

log = structlog.get_logger()

_RETRY = 1.0
_WAIT = 0.2
#: Seconds between two looks at a shared reader that is behind.
_STEP = 0.02
_MESSAGES = 500

#: Where the shared reader is, per partition with its epoch; asked when this one is nearly there.
Join = Callable[[], Mapping[TopicPartition, tuple[str, int]]]


class Piece(msgspec.Struct, frozen=True):
    """Some records in order, of any sensor. ``lost``: messages that Kafka does not have any more."""

    items: list[Item]
    lost: int = 0


class CatchingUp:
    """``pieces`` ends where the shared reader began to deliver."""

    def __init__(self, kafka: Kafka, view: View, start: Positions, join: Join) -> None:
        self._kafka = kafka
        self._view = view
        self._start = start
        self._join = join
        self._epochs: dict[str, str] = {}
        self._offsets: dict[str, list[int]] = {}
        self._target: Mapping[TopicPartition, tuple[str, int]] = {}
        #: Whether this reader has given more than the shared one.
        self._ahead = False

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Empty ones, too: about once a second while Kafka is away or has nothing."""
        while True:
            consumer = LogConsumer(self._kafka, client="sojourn-api-catching-up")
            try:
                await self._begin(consumer)
                while not self._arrived(consumer):
                    if self._ahead:
                        yield Piece([])
                        await asyncio.sleep(_STEP)
                        continue
                    poll = await consumer.poll(_WAIT, _MESSAGES)
                    for anew in poll.assigned:
                        self._epochs[anew.partition.topic] = anew.epoch
                        self._offsets[anew.partition.topic][anew.partition.partition] = anew.offset
                    began = time.perf_counter()
                    for fetched in poll.fetched:
                        yield self._piece(fetched)
                    yield Piece([])
                    # As much time is left to others.
                    await asyncio.sleep(min(_WAIT, time.perf_counter() - began))
                return
            except (KafkaError, TopicsError, TimeoutError, OSError) as error:
                log.warning("records of before cannot be read", error=repr(error))
            finally:
                await consumer.stop()
            yield Piece([])
            await asyncio.sleep(_RETRY)

    @property
    def position(self) -> bytes:
        """Behind everything that was given."""
        return written(self._epochs, self._offsets) if self._offsets else b""

    async def _begin(self, consumer: LogConsumer) -> None:
        counts = await partitions_of(self._kafka, set(TOPICS[self._view]))
        partitions = [TopicPartition(name, number) for name, count in counts.items() for number in range(count)]
        # From the end first: then epochs and ends are known, and no position can lie behind them.
        await consumer.assign(dict.fromkeys(partitions))
        former, self._epochs = self._epochs, {tp.topic: consumer.epoch(tp) or "" for tp in partitions}
        offsets: dict[str, list[int]] = {name: [0] * count for name, count in counts.items()}
        for tp in partitions:
            epoch = self._epochs[tp.topic]
            if tp.topic not in former:
                wanted = self._start.begins(tp.topic, tp.partition, epoch)
            else:
                wanted = self._offsets[tp.topic][tp.partition] if former[tp.topic] == epoch else 0
            offsets[tp.topic][tp.partition] = min(wanted, consumer.next_offset(tp) or 0)
            consumer.begin(tp, offsets[tp.topic][tp.partition])
        self._offsets = offsets

    def _piece(self, fetched: Fetched) -> Piece:
        tp = fetched.partition
        offsets = self._offsets[tp.topic]
        lost = sum(gap.last - gap.first + 1 for gap in fetched.passed)
        if fetched.passed:
            offsets[tp.partition] = max(offsets[tp.partition], fetched.passed[-1].last + 1)
        epoch, end = self._target.get(tp, ("", None))
        items: list[Item] = []
        for message in fetched.records:
            if end is not None and epoch == fetched.epoch and message.offset >= end:
                # From here on the shared reader has it.
                break
            given = self._start.given(tp.topic, tp.partition, message.offset, fetched.epoch)
            found = items_of(tp.topic, fetched.epoch, tp.partition, message)
            for number, item in enumerate(found, start=1):
                last = number == len(found)
                offsets[tp.partition] = message.offset + 1 if last else message.offset
                within = None if last else Within(tp.topic, tp.partition, number)
                if number > given:
                    item.position = written(self._epochs, self._offsets, within)
                    items.append(item)
            offsets[tp.partition] = message.offset + 1
        return Piece(items, lost)

    def _arrived(self, consumer: LogConsumer) -> bool:
        """Whether everything before the shared reader's first record was given."""
        positions = {
            TopicPartition(topic, number): offset
            for topic, offsets in self._offsets.items()
            for number, offset in enumerate(offsets)
        }
        # Compaction and transactions leave offsets without records: health says how far the log was read.
        reached = {
            TopicPartition(each.topic, each.partition): (each.position, each.highwater)
            for each in consumer.health(positions)
        }
        if any(self._epochs[tp.topic] != epoch for tp, (epoch, _) in self._target.items()):
            self._target = {}
        if self._target:
            return all(reached[tp][0] >= offset for tp, (_, offset) in self._target.items())
        if not self._ahead and any(end is None or position < end for position, end in reached.values()):
            return False
        joined = self._join()
        if any(self._epochs[tp.topic] != epoch for tp, (epoch, _) in joined.items()):
            # One of the two does not know yet that the log began anew.
            return False
        # What was given here must not be given again by the other: it comes first, then the rest is read.
        self._ahead = any(offset < positions[tp] for tp, (_, offset) in joined.items())
        if joined and not self._ahead:
            self._target = joined
        return False
