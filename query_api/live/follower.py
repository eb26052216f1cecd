"""The one reader of Kafka in this process that live clients share. It reads from here on, while anybody listens."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from producers.kafka.consumer import LogConsumer, Poll
from producers.kafka.epochs import TopicsError, partitions_of
from query_api.live.items import Item, View
from query_api.live.positions import Within, written
from query_api.live.reading import TOPICS, items_of, view_of
from schemas.settings import Kafka

log = structlog.get_logger()

_RETRY = 1.0
_WAIT = 0.5
#: Messages of one fetch, and seconds of work after which as much time is left to others: a flood of records may cost
#: half of this process, never its answers.
_MESSAGES, _SLICE = 2000, 0.005
#: A partition further behind than this many messages is given up to its end: what comes now is what clients want.
_BEHIND = 20_000

#: Every topic that any view is read from.
_NAMES = {name for names in TOPICS.values() for name in names}


class Follower:
    """``take`` gets each record in the order of its partition, ``told`` is called after some of them; ``skipped`` says
    that messages of a view were given up."""

    def __init__(
        self,
        kafka: Kafka,
        take: Callable[[Item], None],
        told: Callable[[], None],
        skipped: Callable[[View, int], None],
    ) -> None:
        self._kafka = kafka
        self._take = take
        self._told = told
        self._skipped = skipped
        self._epochs: dict[str, str] = {}
        #: Per topic the next offset of each partition; kept while Kafka is away, so that nothing is left out.
        self._offsets: dict[str, list[int]] = {}
        self.ready = asyncio.Event()
        #: Whether records are to know their positions.
        self.positions_wanted: Callable[[View], bool] = lambda view: False

    async def run(self) -> None:
        """Until cancelled; begins again after Kafka was away, where it was."""
        while True:
            consumer = LogConsumer(self._kafka, client="sojourn-api-live")
            try:
                await self._begin(consumer)
                self.ready.set()
                while True:
                    await self._read(consumer, await consumer.poll(_WAIT, _MESSAGES))
            except (KafkaError, TopicsError, TimeoutError, OSError) as error:
                log.warning("live records cannot be read", error=repr(error))
            finally:
                await consumer.stop()
            await asyncio.sleep(_RETRY)

    def positions(self, view: View, within: Within | None = None) -> bytes:
        """Behind all records that were taken, as text; empty before there are any."""
        topics = TOPICS[view]
        if not all(name in self._offsets for name in topics):
            return b""
        return written(self._epochs, {name: self._offsets[name] for name in topics}, within)

    def reached(self, view: View) -> dict[TopicPartition, tuple[str, int]]:
        """Per partition its epoch and the offset behind all records that were taken; empty before there are any."""
        return {
            TopicPartition(name, partition): (self._epochs[name], offset)
            for name in TOPICS[view]
            for partition, offset in enumerate(self._offsets.get(name, ()))
        }

    async def _begin(self, consumer: LogConsumer) -> None:
        counts = await partitions_of(self._kafka, _NAMES)
        known = {
            TopicPartition(name, number): offset
            for name, offsets in self._offsets.items()
            for number, offset in enumerate(offsets)
        }
        partitions = [TopicPartition(name, number) for name, count in counts.items() for number in range(count)]
        await consumer.assign({tp: known.get(tp) for tp in partitions})
        offsets: dict[str, list[int]] = {name: [0] * count for name, count in counts.items()}
        for tp in partitions:
            epoch = consumer.epoch(tp) or ""
            if tp in known and self._epochs.get(tp.topic) != epoch:
                # Another log than the one we knew: all of it is new.
                consumer.begin(tp, 0)
            offsets[tp.topic][tp.partition] = consumer.next_offset(tp) or 0
        self._epochs = {tp.topic: consumer.epoch(tp) or "" for tp in partitions}
        self._offsets = offsets

    async def _read(self, consumer: LogConsumer, poll: Poll) -> None:
        for anew in poll.assigned:
            self._epochs[anew.partition.topic] = anew.epoch
            self._offsets[anew.partition.topic][anew.partition.partition] = anew.offset
        began = time.perf_counter()
        for fetched in poll.fetched:
            tp = fetched.partition
            view = view_of(tp.topic)
            offsets = self._offsets[tp.topic]
            if fetched.passed:
                self._skipped(view, sum(gap.last - gap.first + 1 for gap in fetched.passed))
                offsets[tp.partition] = max(offsets[tp.partition], fetched.passed[-1].last + 1)
            for message in fetched.records:
                items = items_of(tp.topic, fetched.epoch, tp.partition, message)
                if self.positions_wanted(view):
                    self._place(items, view, tp, message.offset)
                offsets[tp.partition] = message.offset + 1
                for item in items:
                    self._take(item)
                if (took := time.perf_counter() - began) > _SLICE:
                    self._told()
                    await asyncio.sleep(took)
                    began = time.perf_counter()
        self._told()
        self._catch_up(consumer)

    def _place(self, items: Sequence[Item], view: View, tp: TopicPartition, offset: int) -> None:
        """Each record's position: behind it, but before the next one of the same message."""
        offsets = self._offsets[tp.topic]
        for number, item in enumerate(items, start=1):
            last = number == len(items)
            offsets[tp.partition] = offset + 1 if last else offset
            item.position = self.positions(view, None if last else Within(tp.topic, tp.partition, number))

    def _catch_up(self, consumer: LogConsumer) -> None:
        for topic, offsets in self._offsets.items():
            for number, offset in enumerate(offsets):
                tp = TopicPartition(topic, number)
                end = consumer.highwater(tp)
                if end is not None and end - offset > _BEHIND:
                    log.warning("live clients miss records", topic=topic, partition=number, messages=end - offset)
                    self._skipped(view_of(topic), end - offset)
                    offsets[number] = end
                    consumer.begin(tp, end)
