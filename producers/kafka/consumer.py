"""The one consumer: it knows which life of the log it reads, and that a log may show holes.

Two ways to use it. ``join`` takes partitions as a member of a group and hands them out one by one, held back until
the owner has prepared itself and calls ``begin``. ``assign`` reads given partitions without a group, from given
offsets or from here on. Nothing is ever committed but by ``commit``.

aiokafka hides reconnects, so a consumer must not live through the death of a memory-only broker: whoever restarts the
broker ends its consumers first (hard-questions: epochs). What can be seen of it, a high-water mark below the
position, is checked all the same.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata

from producers.kafka.embedded_groups import as_member
from producers.kafka.epochs import TopicsError, epochs_of
from producers.kafka.holes import Gap, HoleCheck, expects_no_holes
from producers.kafka.message import Message, isolation_level
from producers.kafka.stopping import stop_consumer
from schemas.health import PartitionHealth
from schemas.metrics import Counters
from schemas.settings import Kafka

log = structlog.get_logger()

#: Seconds between two looks at the epochs while a high-water mark stays below the position.
_EPOCH_CHECK = 1.0
#: Seconds that a topic may be without epoch: whoever makes a topic anew writes its epoch right afterwards.
_EPOCH_PATIENCE = 10.0
#: Seconds before a hole is read again: the embedded broker stores the missing batch within milliseconds.
_HOLE_PAUSE = 0.02

Revoked = Callable[[frozenset[TopicPartition]], Awaitable[None]]


def metadata_age_ms(kafka: Kafka) -> int:
    """Milliseconds after which a consumer asks for metadata again.

    A topic that is deleted leaves the group's assignment at once, and comes back only when it is seen in the metadata:
    aiokafka's own five minutes would be an outage. The embedded broker makes the topics it is asked for; no consumer
    outlives a topic there, so it is not asked more than that.
    """
    return 300_000 if kafka.embedded else 5_000


class Assigned(msgspec.Struct, frozen=True):
    """A partition to read from ``offset`` on, in this epoch. ``anew``: its log began again, positions held are void."""

    partition: TopicPartition
    epoch: str
    offset: int
    anew: bool = False


class Fetched(msgspec.Struct, frozen=True):
    """Records of one partition in order, and the holes among or before them that stayed holes."""

    partition: TopicPartition
    epoch: str
    records: Sequence[Message]
    passed: list[Gap] = []


class Poll(msgspec.Struct, frozen=True):
    """``assigned`` comes first: what is fetched belongs to partitions begun earlier."""

    assigned: list[Assigned] = []
    fetched: list[Fetched] = []


class LogConsumer:
    """One consumer; not for several tasks at once, except ``commit`` and the properties."""

    def __init__(self, kafka: Kafka, *, client: str, counters: Counters | None = None) -> None:
        self._kafka = kafka
        self._client = client
        self._counters = counters or Counters()
        self._group: str | None = None
        self._consumer: Any = None
        self._admin: Any = None
        self._on_revoked: Revoked | None = None
        #: Assignments of the group that poll has not handed out yet, and how many there were so far.
        self._news: set[TopicPartition] = set()
        self._assignments = 0
        self._joining = True
        self._epochs: dict[TopicPartition, str] = {}
        #: The epochs that partitions were read in last, kept over rebalances.
        self._last_epochs: dict[TopicPartition, str] = {}
        self._checks: dict[TopicPartition, HoleCheck] = {}
        self._looked = 0.0

    async def join(self, group: str, names: Sequence[str], on_revoked: Revoked) -> None:
        """Join a group. ``on_revoked`` is awaited before each rebalance: commit there what is done, drop the rest.

        Returns when the first assignment is known, on the embedded broker after half the session timeout.
        """
        self._group = group
        self._on_revoked = on_revoked
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka.bootstrap, client_id=self._client)
        await self._admin.start()
        self._consumer = self._make(group)
        self._consumer.subscribe(list(names), listener=_Rebalance(self))
        await self._consumer.start()

    async def assign(self, starts: Mapping[TopicPartition, int | None]) -> None:
        """Read these partitions without a group; None is "from here": what is published from now on.

        Raises TopicsError when a topic has no epoch.
        """
        epochs = await epochs_of(self._kafka, {tp.topic for tp in starts})
        self._joining = False
        self._consumer = self._make(None)
        await self._consumer.start()
        self._consumer.assign(list(starts))
        ends = await self._ends([tp for tp, offset in starts.items() if offset is None])
        for tp, offset in starts.items():
            self._epochs[tp] = epochs[tp.topic]
            self.begin(tp, ends[tp] if offset is None else offset)

    async def _ends(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The high-water marks as a fetch tells them: ``ListOffsets`` of the embedded broker is too low."""
        if not partitions:
            return {}
        self._consumer.pause(*self._consumer.assignment())
        for tp, offset in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(tp, offset)
            self._consumer.resume(tp)
        ends: dict[TopicPartition, int] = {}
        while len(ends) < len(partitions):
            await self._consumer.getmany(*partitions, timeout_ms=20)
            for tp in partitions:
                mark = self._consumer.highwater(tp)
                if mark is not None and tp not in ends:
                    ends[tp] = mark
        return ends

    def _make(self, group: str | None) -> Any:
        kafka = self._kafka
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap,
            client_id=self._client,
            group_id=group,
            enable_auto_commit=False,
            # Positions are set here, never by a reset that would hide a new epoch.
            auto_offset_reset="none",
            fetch_max_wait_ms=kafka.fetch_max_wait_ms,
            max_partition_fetch_bytes=max(1 << 20, kafka.max_message_bytes + 65_536),
            session_timeout_ms=int(kafka.session_timeout * 1000),
            heartbeat_interval_ms=int(kafka.heartbeat_interval * 1000),
            # A rebalance waits for members that still finish a block.
            rebalance_timeout_ms=int(kafka.session_timeout * 1000),
            metadata_max_age_ms=metadata_age_ms(kafka),
            isolation_level=isolation_level(kafka),
        )
        return as_member(consumer, kafka)

    async def stop(self) -> None:
        """Leave the group and disconnect; commits nothing."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)
        if self._admin is not None:
            await self._admin.close()

    def begin(self, partition: TopicPartition, offset: int) -> None:
        """Let records of this partition come, from this offset on. Ignored when it is not assigned any more."""
        if partition in self._consumer.assignment():
            self._checks[partition] = HoleCheck(self._kafka.hole_wait, offset)
            self._consumer.seek(partition, offset)
            self._consumer.resume(partition)

    def pause(self, partition: TopicPartition) -> None:
        if partition in self._consumer.assignment():
            self._consumer.pause(partition)

    def resume(self, partition: TopicPartition) -> None:
        """Undo ``pause``; a partition that ``begin`` was not called for stays held back."""
        if partition in self._checks and partition in self._consumer.assignment():
            self._consumer.resume(partition)

    async def poll(self, wait: float, max_records: int | None = None) -> Poll:
        """New assignments at once, else records, else nothing after ``wait`` seconds. Blocks during a rebalance.

        Raises KafkaError for what aiokafka does not retry, TopicsError when a topic has no epoch.
        """
        if self._news:
            assigned = await self._take_news()
            if assigned:
                return Poll(assigned=assigned)
        try:
            got = await self._consumer.getmany(timeout_ms=int(wait * 1000), max_records=max_records)
        except NoOffsetForPartitionError:
            # Seen between an assignment and its listener; every position is set by ``begin``.
            return Poll()
        except OffsetOutOfRangeError as error:
            return Poll(
                assigned=await self._begun_anew([tp for tp in error.args[0] if tp in self._checks]),
                fetched=await self._expired([tp for tp in error.args[0] if tp in self._checks]),
            )
        fetched = []
        for tp, records in got.items():
            one = await self._checked(tp, records)
            if one is not None:
                fetched.append(one)
        return Poll(assigned=await self._begun_anew(self._behind()), fetched=fetched)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit next offsets to read, marked with their epochs. Raises KafkaError, e.g. after a rebalance."""
        await self._consumer.commit(
            {tp: OffsetAndMetadata(offset, self._epochs.get(tp, "")) for tp, offset in offsets.items()}
        )

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._consumer.assignment()) if self._consumer is not None else frozenset()

    @property
    def generation(self) -> int:
        """How many assignments this consumer has had, -1 while it joins. (Kafka's own generation is not public.)"""
        return -1 if self._joining else self._assignments

    def epoch(self, partition: TopicPartition) -> str | None:
        """The epoch that the partition is read in, None before it began."""
        return self._epochs.get(partition)

    def next_offset(self, partition: TopicPartition) -> int | None:
        """The offset behind the last record that was handed out, None before the partition began."""
        check = self._checks.get(partition)
        return None if check is None else check.expected

    def highwater(self, partition: TopicPartition) -> int | None:
        """The high-water mark of the last fetch, None before one or when the partition is not assigned."""
        if partition not in self._consumer.assignment():
            return None
        mark: int | None = self._consumer.highwater(partition)
        return mark

    def health(self, positions: Mapping[TopicPartition, int]) -> list[PartitionHealth]:
        """The partitions of a heartbeat, given the offsets up to which its owner is done."""
        return [
            PartitionHealth(tp.topic, tp.partition, self._beyond(tp, position), self.highwater(tp))
            for tp, position in sorted(positions.items())
        ]

    def _beyond(self, tp: TopicPartition, position: int) -> int:
        """The position without the offsets behind it that have no records: markers of transactions, compacted ones."""
        check = self._checks.get(tp)
        if check is None or check.expected is None or position < check.expected:
            return position
        subscription = self._consumer._subscription.subscription
        if subscription is None or subscription.assignment is None or tp not in subscription.assignment.tps:
            return position
        # The public `position` waits until there is one.
        read: int | None = subscription.assignment.state_value(tp)._position
        return position if read is None else max(position, read)

    async def _take_news(self) -> list[Assigned]:
        """Epoch and start of the partitions that a rebalance gave us."""
        news, self._news = self._news, set()
        round_ = self._assignments
        try:
            epochs = await self._epochs_soon({tp.topic for tp in news})
            committed = await self._admin.list_consumer_group_offsets(self._group, partitions=sorted(news))
        except BaseException:
            self._news |= news
            raise
        if round_ != self._assignments:
            return []
        assigned = []
        for tp in sorted(news):
            epoch = epochs[tp.topic]
            known = committed.get(tp)
            offset = known.offset if known is not None and known.offset >= 0 else 0
            # An empty mark is no evidence: the embedded broker drops it, and with its log it loses the offsets too.
            anew = known is not None and known.metadata not in ("", None, epoch)
            if anew:
                offset = 0
            # Where the broker forgot the offsets with the topic, we still know what we read.
            anew = anew or self._last_epochs.get(tp, epoch) != epoch
            if anew:
                self._counters.add("epochs_changed_total")
            self._epochs[tp] = self._last_epochs[tp] = epoch
            assigned.append(Assigned(tp, epoch, offset, anew))
        return assigned

    async def _epochs_soon(self, names: set[str]) -> dict[str, str]:
        deadline = time.monotonic() + _EPOCH_PATIENCE
        while True:
            try:
                return await epochs_of(self._kafka, names)
            except TopicsError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    def _behind(self) -> list[TopicPartition]:
        """Partitions whose log ends before our position: another log than the one we know."""
        found = []
        for tp, check in self._checks.items():
            mark = self.highwater(tp)
            if mark is not None and check.expected is not None and mark < check.expected:
                found.append(tp)
        return found

    async def _begun_anew(self, suspects: list[TopicPartition]) -> list[Assigned]:
        """The suspects whose topic has another epoch now: they start at 0 and are held back until ``begin``."""
        if not suspects or time.monotonic() - self._looked < _EPOCH_CHECK:
            return []
        self._looked = time.monotonic()
        epochs = await epochs_of(self._kafka, {tp.topic for tp in suspects})
        changed = []
        for tp in suspects:
            epoch = epochs[tp.topic]
            if epoch == self._epochs.get(tp) or tp not in self._consumer.assignment():
                continue
            log.warning("log began anew", topic=tp.topic, partition=tp.partition, epoch=epoch)
            self._counters.add("epochs_changed_total")
            self._epochs[tp] = self._last_epochs[tp] = epoch
            if self._group is None:
                self.begin(tp, 0)
            else:
                self._consumer.pause(tp)
                self._checks.pop(tp, None)
            changed.append(Assigned(tp, epoch, 0, anew=True))
        return changed

    async def _expired(self, suspects: list[TopicPartition]) -> list[Fetched]:
        """The suspects whose records were deleted by retention before we read them: a hole, and on from the start."""
        left = [tp for tp in suspects if tp in self._checks]
        starts = await self._consumer.beginning_offsets(left) if left else {}
        found = []
        for tp, start in starts.items():
            expected = self._checks[tp].expected
            if expected is None or start <= expected:
                log.error("position is behind the end of the log", topic=tp.topic, partition=tp.partition)
                continue
            found.append(Fetched(tp, self._epochs[tp], [], [Gap(expected, start - 1)]))
            self._passed(tp, found[-1].passed)
            self.begin(tp, start)
        return found

    async def _checked(self, tp: TopicPartition, records: Sequence[Message]) -> Fetched | None:
        check = self._checks.get(tp)
        if check is None:
            return None
        if not expects_no_holes(self._kafka, tp.topic):
            check.expected = records[-1].offset + 1
            return Fetched(tp, self._epochs[tp], records)
        seen = check.seen
        checked = check.feed(records, time.monotonic())
        if check.seen > seen:
            self._counters.add("holes_seen_total", check.seen - seen)
        self._passed(tp, checked.passed)
        if checked.seek_to is not None:
            await asyncio.sleep(_HOLE_PAUSE)
            if tp in self._consumer.assignment():
                self._consumer.seek(tp, checked.seek_to)
        if not checked.good and not checked.passed:
            return None
        return Fetched(tp, self._epochs[tp], checked.good, checked.passed)

    def _passed(self, tp: TopicPartition, gaps: list[Gap]) -> None:
        for gap in gaps:
            self._counters.add("holes_passed_total")
            log.error("hole passed", topic=tp.topic, partition=tp.partition, first=gap.first, last=gap.last)


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, consumer: LogConsumer) -> None:
        self._of = consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        of = self._of
        if revoked and of._on_revoked is not None:
            await of._on_revoked(frozenset(revoked))
        of._joining = True
        of._news.clear()
        of._checks.clear()
        of._epochs.clear()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        of = self._of
        for tp in assigned:
            # A position of our own keeps aiokafka from reading before the owner is ready.
            of._consumer.seek(tp, 0)
        of._consumer.pause(*assigned)
        of._news = set(assigned)
        of._assignments += 1
        of._joining = False
