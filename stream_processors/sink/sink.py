"""The sink: reads all sensor topics and ``sessions``, and keeps what it owns flowing into ClickHouse."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from heapq import nlargest

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from producers.cancelling import cancel
from producers.kafka.consumer import Assigned, LogConsumer
from producers.kafka.publisher import Publisher
from schemas import topics
from schemas.health import Heartbeat
from schemas.metrics import Counters
from schemas.settings import Settings
from stream_processors import groups
from stream_processors.heartbeat import send
from stream_processors.sink.alerts import alert_rules
from stream_processors.sink.answers import FencedError, UnansweredError
from stream_processors.sink.ledger import Ledger
from stream_processors.sink.owned import Owned
from stream_processors.sink.places import place_of
from stream_processors.sink.storing import Storing
from stream_processors.sink.writer import Writer

log = structlog.get_logger()

#: Inserts under way at once; each partition has at most one.
_INSERTS = 2
#: What is held over all partitions, waiting or being inserted, when reading stops: rows, in blocks, and bytes of their
#: messages. A row takes a kilobyte and four times its message; memory is bounded by this (bench.outage).
_HELD_BLOCKS = 2
_HELD_BYTES = 32 << 20
#: Records decoded before the loop looks at everything else.
_POLL_RECORDS = 5000
_POLL_SECONDS = 0.05
_PARTS_INTERVAL = 5.0


def sink_topics() -> list[str]:
    """What the sink reads."""
    return [topic.name for topic in topics.sensor_topics()] + [topics.SESSIONS]


class Sink:
    """``run`` until ``stop``; raises what cannot be waited out, the process then ends and is started again.

    Raises SettingsError for a rule of alerts that cannot be used.
    """

    def __init__(self, settings: Settings, instance: str) -> None:
        self._settings = settings
        self._instance = instance
        self.counters = Counters()
        self._consumer = LogConsumer(settings.kafka, client=groups.SINK, counters=self.counters)
        self.publisher = Publisher(settings.kafka, client=groups.SINK)
        self._writer = Writer(settings.clickhouse, alert_rules(settings.sink.alerts))
        self._storing = Storing(self._writer, self.publisher, self.counters)
        self._owned: dict[TopicPartition, Owned] = {}
        self._paused: set[TopicPartition] = set()
        self._holds_too_much = False
        self._slots = asyncio.Semaphore(_INSERTS)
        self._interval = settings.sink.flush_ms / 1000
        self._tasks: set[asyncio.Task[None]] = set()
        #: Preparations of this generation; one that goes on after a rebalance would fence the rightful owner.
        self._preparing: list[asyncio.Task[None]] = []
        self._left = False
        self._committing = asyncio.Lock()

    async def run(self, stop: asyncio.Event) -> None:
        """Join the group and work until ``stop`` is set; then settle what was read, commit and leave."""
        stopped = asyncio.create_task(stop.wait())
        work = asyncio.create_task(self._work())
        try:
            await asyncio.wait([stopped, work], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            stopped.cancel()
            await cancel(work)
            await self._leave()

    async def _work(self) -> None:
        self._spawn(self._storing.until_answered(self._writer.connect))
        await self._consumer.join(groups.SINK, sink_topics(), self._revoked)
        self._spawn(self._watch_parts())
        while True:
            await self._turn()

    async def _turn(self) -> None:
        poll = await self._consumer.poll(self._wait_seconds(), _POLL_RECORDS)
        if poll.assigned:
            self._preparing.append(self._spawn(self._prepare(poll.assigned, self._consumer.generation)))
        for fetched in poll.fetched:
            owned = self._owned.get(fetched.partition)
            if owned is not None and owned.place.epoch == fetched.epoch:
                await owned.take(fetched)
        self._start_due()
        self._regulate()
        await self._commit()
        self._raise_failures()

    def _wait_seconds(self) -> float:
        now = time.monotonic()
        dues = [due for owned in self._owned.values() if (due := owned.due_in(now, self._patience(owned))) is not None]
        return min([_POLL_SECONDS, *dues])

    def _patience(self, owned: Owned) -> float:
        """Seconds a row may wait. Behind by more than a block it pays to wait for a full one: an insert of few rows
        costs ClickHouse nearly as much as one of thousands, and nobody sees a row sooner by it."""
        mark = self._consumer.highwater(owned.partition)
        sink = self._settings.sink
        if mark is not None and mark - owned.spool.next > sink.flush_rows:
            return max(self._interval, sink.flush_ms_busy / 1000)
        return self._interval

    def _start_due(self) -> None:
        now = time.monotonic()
        for owned in self._owned.values():
            if owned.due_in(now, self._patience(owned)) == 0.0:
                owned.start_block()
        if self._holds_too_much:
            # Nothing more comes: to wait for full blocks would be to wait for their time.
            for owned in self._fullest(_INSERTS - sum(owned.busy for owned in self._owned.values())):
                owned.start_block()

    def _fullest(self, count: int) -> list[Owned]:
        """Partitions whose next block may begin, those with most rows."""
        now = time.monotonic()
        waiting = (owned for owned in self._owned.values() if owned.due_in(now, 0.0) is not None)
        return nlargest(count, waiting, key=lambda owned: len(owned.spool))

    def _block_ended(self, owned: Owned) -> None:
        if owned.fenced:
            self._give_up(owned)
        else:
            self._start_due()

    def _regulate(self) -> None:
        """Hold back partitions that have a block waiting, and all while too much is held."""
        held = [owned.held for owned in self._owned.values()]
        self._holds_too_much = (
            sum(rows for rows, _ in held) >= _HELD_BLOCKS * self._settings.sink.flush_rows
            or sum(size for _, size in held) >= _HELD_BYTES
        )
        for partition, owned in self._owned.items():
            hold = self._holds_too_much or (owned.busy and owned.is_full)
            if hold and partition not in self._paused:
                self._paused.add(partition)
                self._consumer.pause(partition)
            elif not hold and partition in self._paused:
                self._paused.discard(partition)
                self._consumer.resume(partition)

    async def _commit(self) -> None:
        """Tell Kafka what is settled. One that fails is made good by the next, or by the table."""
        async with self._committing:
            offsets = {
                partition: owned.ledger.done
                for partition, owned in self._owned.items()
                if owned.ledger.done > owned.committed
            }
            if not offsets:
                return
            try:
                await self._consumer.commit(offsets)
            except (KafkaError, IllegalStateError) as error:
                log.warning("commit failed", error=repr(error))
                return
            for partition, offset in offsets.items():
                if partition in self._owned:
                    self._owned[partition].committed = offset

    async def _prepare(self, assigned: Sequence[Assigned], generation: int) -> None:
        """Become the owner of partitions, see what the table has of them, then let their records come."""
        for one in assigned:
            former = self._owned.pop(one.partition, None)
            if former is not None:
                # Its log began anew: what was read of the old one is stored all the same.
                await former.finish(60.0, everything=True)
        places = {place_of(one.epoch, one.partition): one for one in assigned}
        owners = await self._storing.until_answered(lambda: self._writer.take_over(list(places)))
        starts = {place: one.offset for place, one in places.items()}
        frontiers = await self._storing.until_answered(lambda: self._writer.frontiers(starts))
        ledgers = {place: Ledger(place, one.offset, frontiers[place]) for place, one in places.items()}
        for place, ledger in ledgers.items():
            # Where another sink has been faster: that one does it, and the first block here says so.
            with suppress(FencedError):
                await self._storing.complete(owners[place], ledger)
        if generation != self._consumer.generation:
            return
        for place, one in places.items():
            self._paused.discard(one.partition)
            self._owned[one.partition] = Owned(
                place,
                owners[place],
                ledgers[place],
                self._storing,
                self.publisher,
                self._slots,
                self._settings.sink.flush_rows,
                self._block_ended,
            )
            self._consumer.begin(one.partition, one.offset)
        await send(self.publisher, self.heartbeat())

    def _give_up(self, owned: Owned) -> None:
        """Another sink took the partition: nothing more, no commit. Ask again later if it is still assigned to us."""
        self.counters.add("inserts_fenced_total")
        self._owned.pop(owned.partition, None)
        self._consumer.pause(owned.partition)
        self._preparing.append(self._spawn(self._ask_again(owned, self._consumer.generation)))

    async def _ask_again(self, owned: Owned, generation: int) -> None:
        # A sink that was frozen learns within this time that the group has left it behind.
        await asyncio.sleep(self._settings.kafka.session_timeout)
        if generation == self._consumer.generation and owned.partition in self._consumer.assignment:
            await self._prepare([Assigned(owned.partition, owned.place.epoch, owned.ledger.done)], generation)

    async def _revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Awaited before a rebalance: finish the blocks under way, commit, drop what waits."""
        preparing, self._preparing = self._preparing, []
        for task in preparing:
            task.cancel()
        leaving = [self._owned[partition] for partition in partitions if partition in self._owned]
        patience = self._settings.kafka.session_timeout / 3
        await asyncio.gather(*(owned.finish(patience, everything=False) for owned in leaving))
        await self._commit()
        for owned in leaving:
            self._owned.pop(owned.partition, None)
        self._paused -= partitions

    async def _watch_parts(self) -> None:
        """Larger, rarer blocks while ClickHouse has many parts to merge."""
        sink = self._settings.sink
        while True:
            await asyncio.sleep(_PARTS_INTERVAL)
            try:
                parts = await self._writer.active_parts()
            except UnansweredError as error:
                # Away, or a server where the writer may not see system.parts: the rhythm stays as it is.
                log.warning("active parts are not known", error=str(error))
                continue
            busy = parts >= sink.busy_parts
            self._interval = (max(sink.flush_ms, sink.flush_ms_busy) if busy else sink.flush_ms) / 1000

    async def _leave(self) -> None:
        """Settle what was read, commit, leave the group: all within about two seconds."""
        for task in self._tasks:
            task.cancel()
        owned = list(self._owned.values())
        await asyncio.gather(*(one.finish(1.5, everything=True) for one in owned))
        try:
            async with asyncio.timeout(1.0):
                await self._commit()
                self._owned.clear()
                await self._consumer.stop()
        except TimeoutError:
            log.warning("Kafka did not take the last commit in time; the table knows what is stored")
        self._left = True
        await self._writer.close()

    def heartbeat(self) -> Heartbeat:
        """The heartbeat of this moment: in no generation before everything assigned is prepared."""
        ready = not self._left and self._consumer.generation > 0 and self._consumer.assignment == frozenset(self._owned)
        return Heartbeat(
            component="sink",
            instance=self._instance,
            time=time.time_ns() // 1000,
            generation=self._consumer.generation if ready else -1,
            partitions=self._consumer.health({p: owned.ledger.done for p, owned in self._owned.items()}),
            counters=dict(self.counters.values),
            message="stopped" if self._left else self._storing.trouble,
        )

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_ended)
        return task

    def _spawned_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)

    def _raise_failures(self) -> None:
        """A failure that nobody foresaw ends the process; nothing is committed for it."""
        for owned in self._owned.values():
            if owned.failure is not None:
                raise owned.failure
        for task in self._tasks:
            if task.done():
                task.result()
