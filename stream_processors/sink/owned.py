"""One partition while this sink owns it: what waits, what is being inserted, how far it is settled."""

import asyncio
import time
from collections.abc import Callable

import structlog
from aiokafka import TopicPartition

from producers.kafka.consumer import Fetched
from producers.kafka.publisher import Publisher
from schemas.dead_letters import Reason
from stream_processors.sink.answers import FencedError
from stream_processors.sink.ledger import Ledger
from stream_processors.sink.letters import publish_letters
from stream_processors.sink.places import Place
from stream_processors.sink.reading import Reader, dead_letter
from stream_processors.sink.spool import Spool, size_of
from stream_processors.sink.storing import Storing

log = structlog.get_logger()

#: Bytes of messages in one block; a message is never split.
BLOCK_BYTES = 16 << 20


class Owned:
    """Inserts one block at a time, in the order of the log; what comes meanwhile waits for the next one."""

    def __init__(
        self,
        place: Place,
        owner: int,
        ledger: Ledger,
        storing: Storing,
        publisher: Publisher,
        slots: asyncio.Semaphore,
        flush_rows: int,
        on_end: Callable[["Owned"], None],
    ) -> None:
        self.place = place
        self.partition: TopicPartition = place.topic_partition
        self.owner = owner
        self.ledger = ledger
        self.spool = Spool(ledger.done)
        #: Offset that Kafka was told last.
        self.committed = ledger.done
        self.fenced = False
        self.failure: BaseException | None = None
        self._reader = Reader(place)
        self._storing = storing
        self._publisher = publisher
        self._slots = slots
        self._flush_rows = flush_rows
        self._on_end = on_end
        self._task: asyncio.Task[None] | None = None
        self._begun = 0.0
        self._under_way = (0, 0)
        self._closing = False

    @property
    def busy(self) -> bool:
        return self._task is not None

    @property
    def _has_ended(self) -> bool:
        """A block was refused or failed: settling one behind it would move the offset over it."""
        return self.fenced or self.failure is not None

    @property
    def idle(self) -> bool:
        """Everything that was read is settled."""
        return self._task is None and self.spool.since is None

    @property
    def held(self) -> tuple[int, int]:
        """Rows in memory and bytes of their messages: what waits and what is being inserted."""
        rows, size = self._under_way
        return len(self.spool) + rows, self.spool.bytes + size

    def due_in(self, now: float, interval: float) -> float | None:
        """Seconds until the next block may begin; None while nothing waits, a block is under way, or none may follow.

        A partition that was quiet for the interval waits for nothing: its first record is inserted at once.
        """
        if self._task is not None or self.spool.since is None or self._closing or self._has_ended:
            return None
        if self.is_full:
            return 0.0
        return max(0.0, self._begun + interval - now)

    @property
    def is_full(self) -> bool:
        return len(self.spool) >= self._flush_rows or self.spool.bytes >= BLOCK_BYTES

    async def take(self, fetched: Fetched) -> None:
        """Decode what was fetched and let it wait; dead letters of the sink are acknowledged before that."""
        end = self.spool.next
        letters = []
        for gap in fetched.passed:
            expected = f"offsets {gap.first} to {gap.last}, which never came"
            letters.append(dead_letter(self.place, gap.first, None, Reason.HOLE, expected))
            end = max(end, gap.last + 1)
        reading = self._reader.read(fetched.records)
        if fetched.records:
            end = max(end, fetched.records[-1].offset + 1)
        letters += reading.refused
        if letters:
            await publish_letters(self._publisher, letters)
        self.spool.add(reading.rows, reading.offsets, fetched.records, size_of(fetched.records), end, time.monotonic())

    def start_block(self) -> None:
        """Begin the next block, if there is one, none is under way, and none has failed."""
        if self._task is not None or self._has_ended:
            return
        now = time.monotonic()
        block = self.spool.cut(self._flush_rows, BLOCK_BYTES, time.time_ns() // 1_000_000, now)
        if block is None:
            return
        self._begun = now
        self._under_way = len(block.rows), size_of(block.messages)

        async def store() -> None:
            async with self._slots:
                await self._storing.store(self.ledger, self.owner, block)

        self._task = asyncio.create_task(store(), name=f"block {self.place.topic}/{self.place.partition}")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._under_way = (0, 0)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, FencedError):
            self.fenced = True
            log.warning("partition belongs to another sink", topic=self.place.topic, partition=self.place.partition)
        elif error is not None:
            self.failure = error
        self._on_end(self)

    async def finish(self, seconds: float, *, everything: bool) -> None:
        """Wait for the block under way, with ``everything`` for all that waits too; then give up what is left."""
        self._closing = True
        deadline = time.monotonic() + seconds
        while not self.idle and not self._has_ended:
            if self._task is None:
                if not everything:
                    break
                self.start_block()
            left = deadline - time.monotonic()
            if left <= 0 or self._task is None:
                break
            await asyncio.wait([self._task], timeout=left)
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
