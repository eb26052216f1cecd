"""The agent ``sessionize``: one session machine per partition of ``connections``, its versions on ``sessions``.

A batch is applied once; the versions it leads to are published and acknowledged, then the batch may be committed, but
never past the oldest record the machine still holds: after a crash that record is read again.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import cast

import msgspec
import structlog
from faust.types import TP

from producers.kafka.message import Message
from producers.kafka.publisher import Item, Publisher
from schemas import metrics, topics
from schemas.dead_letters import DeadLetter, Reason, Stage
from schemas.records import Connection, Session, Tick
from stream_processors.intake import Intake, RecordBatch, Start
from stream_processors.lanes import repeated
from stream_processors.machine.sessionizer import Sessionizer
from stream_processors.machine.writes import Write
from stream_processors.route import send_letters

log = structlog.get_logger()

_decode_connection = msgspec.json.Decoder(Connection).decode
#: Versions are taken within a batch when so many sessions are objects, looked at after so many records: what was just
#: made is still in the processor's cache then.
_MOST_AWAKE, _SLICE = 400, 500
#: Seconds between two looks whether a store has answered.
_STORE_PAUSE = 0.1
#: Seconds between two looks whether a batch is delivered.
_DELIVERY_PAUSE = 0.005

_decode_tick = msgspec.json.Decoder(Tick).decode
_encoder = msgspec.json.Encoder()


class Owned:
    """A partition of ``connections`` and its machine."""

    __slots__ = ("delivered", "generation", "machine", "planned", "position", "sweep_floor", "unpublished")

    def __init__(self, machine: Sessionizer, generation: int) -> None:
        self.machine = machine
        #: Generation of the group in which it was last confirmed as ours.
        self.generation = generation
        #: Offset behind the last record applied and published, None before the first.
        self.position: int | None = None
        #: Batches and sweeps applied whose versions Kafka has not acknowledged: the machine is ahead of the topic.
        self.unpublished = 0
        #: Batches applied, and batches whose versions Kafka has acknowledged.
        self.planned = self.delivered = 0
        #: Where the commit floor stood before a sweep whose versions Kafka has not acknowledged.
        self.sweep_floor: int | None = None

    def floor(self) -> int | None:
        """Commits must not pass this offset."""
        floors = [floor for floor in (self.machine.oldest_held, self.sweep_floor) if floor is not None]
        return min(floors, default=None)


class Published(msgspec.Struct):
    """What a batch leads to, encoded: the machine may go on changing its sessions."""

    sessions: list[Item] = []
    letters: list[DeadLetter] = []
    #: Commits of this batch must not pass this offset: what was held when it had been applied.
    floor: int | None = None


class Sessions:
    """Applies batches to the machines of this worker and publishes what changed."""

    def __init__(self, intake: Intake, publisher: Publisher, counters: metrics.Counters) -> None:
        self._intake = intake
        self._publisher = publisher
        self._counters = counters
        #: Partition number → its machine; ``restore`` fills it before the first batch comes.
        self.owned: dict[int, Owned] = {}

    async def settle(self, batch: RecordBatch, wanted: Callable[[], bool]) -> bool:
        """Wait while too many records wait for a store that is away, or far behind: memory is bounded. False when the
        batch is not ``wanted`` any more."""
        owned = self.owned.get(batch.tp.partition)
        while owned is not None and owned.machine.is_waiting:
            if not wanted():
                return False
            await asyncio.sleep(_STORE_PAUSE)
        return True

    def plan(self, batch: RecordBatch) -> Published:
        """Apply a batch to its machine."""
        owned = self.owned[batch.tp.partition]
        published = Published()
        owned.unpublished += 1
        owned.planned += 1
        machine = owned.machine
        for begin in range(0, len(batch.records), _SLICE):
            self._apply(machine, batch.tp, batch.records[begin : begin + _SLICE], published.letters)
            if machine.awake > _MOST_AWAKE:
                published.sessions += machine.take_versions()
        published.sessions += machine.take_versions()
        self._count(owned.machine)
        published.floor = owned.floor()
        return published

    async def send(self, batch: RecordBatch, published: Published) -> list[asyncio.Future[object]]:
        """Queue the versions of a batch. Raises KafkaError; may be called again."""
        return await self._send(batch.tp.partition, published)

    def done(self, batch: RecordBatch, published: Published) -> None:
        """Kafka has them: move the commit floor."""
        owned = self.owned[batch.tp.partition]
        owned.unpublished -= 1
        owned.delivered += 1
        owned.position = batch.last + 1
        # A batch behind this one may have been applied and let go of what was held; its versions are not safe yet.
        self._intake.ledger.hold(batch.tp, published.floor if owned.unpublished else owned.floor())

    async def sweep(self, partition: int, wanted: Callable[[], bool]) -> None:
        """Let a machine close what silent sensors left open, and publish it."""
        await self._change(partition, lambda machine: machine.sweep(time.time_ns() // 1000), wanted)

    async def delivered(self, partition: int, wanted: Callable[[], bool]) -> None:
        """Wait until everything that the machine had applied by now is on the topic ``sessions``."""
        owned = self.owned.get(partition)
        if owned is None:
            # It went elsewhere meanwhile.
            return
        planned = owned.planned
        while True:
            if owned.delivered >= planned or not wanted():
                return
            await asyncio.sleep(_DELIVERY_PAUSE)

    async def resolve(
        self,
        partition: int,
        found: dict[bytes, list[Session]],
        writes: list[tuple[Write, list[Session]]],
        wanted: Callable[[], bool],
    ) -> None:
        """Tell a machine what the store knows of what it asked for, and publish what follows."""

        def tell(machine: Sessionizer) -> None:
            for key, sessions in found.items():
                machine.resolve(key, sessions)
            for write, sessions in writes:
                machine.resolve_write(write, sessions)

        await self._change(partition, tell, wanted)

    async def _change(self, partition: int, change: Callable[[Sessionizer], None], wanted: Callable[[], bool]) -> None:
        owned = self.owned[partition]
        floor = owned.machine.oldest_held
        change(owned.machine)
        published = Published(list(owned.machine.take_versions()))
        self._count(owned.machine)
        if not published.sessions:
            return
        owned.unpublished += 1
        owned.sweep_floor = floor
        if await repeated(lambda: self._publish(partition, published), wanted, f"sessions of {partition}"):
            owned.unpublished -= 1
            owned.sweep_floor = None
        # Else the floor stays: what is committed before the partition goes elsewhere must not pass it.

    def keep(self, partitions: set[int], generations: set[int]) -> set[int]:
        """Drop machines that are not ours any more, or that were last ours in no generation of ``generations``.

        Returns the partitions that are left.
        """
        for partition, owned in list(self.owned.items()):
            if partition not in partitions or owned.generation not in generations or owned.unpublished:
                del self.owned[partition]
        return set(self.owned)

    def starts(self) -> dict[TP, Start]:
        """Where the partitions we keep go on: behind what their machines have applied."""
        return {
            TP(topics.CONNECTIONS, partition): Start(owned.position, owned.floor())
            for partition, owned in self.owned.items()
            if owned.position is not None
        }

    def _apply(self, machine: Sessionizer, tp: TP, records: Sequence[Message], letters: list[DeadLetter]) -> None:
        take, apply = machine.take, machine.apply
        for message in records:
            key, value = message.key, message.value
            if value is None:
                letters.append(self._letter(tp, message, Reason.NOT_AN_OBJECT, "the message has no value"))
                continue
            broker_time = message.timestamp * 1000
            try:
                if key is None:
                    machine.tick(_decode_tick(value), broker_time)
                    continue
                if take(key, value, broker_time):
                    continue
                record = _decode_connection(value)
            except msgspec.ValidationError as error:
                letters.append(self._letter(tp, message, Reason.WRONG_TYPE, str(error)))
            except msgspec.DecodeError as error:
                letters.append(self._letter(tp, message, Reason.NOT_JSON, str(error)))
            else:
                apply(key, record, broker_time, message.offset)

    def _letter(self, tp: TP, message: Message, reason: Reason, why: str) -> DeadLetter:
        """Route writes ``connections``: what cannot be read there was written by somebody else."""
        return DeadLetter(
            stage=Stage.SESSIONIZE,
            reason=reason,
            expected=f"a connection record, or a tick without key: {why}",
            topic=tp.topic,
            partition=tp.partition,
            offset=message.offset,
            epoch=self._intake.epochs.get(tp.topic, ""),
            time=message.timestamp * 1000,
            key=message.key,
            value=message.value,
            headers=list(message.headers),
        )

    async def _publish(self, partition: int, published: Published) -> None:
        await asyncio.gather(*await self._send(partition, published))

    async def _send(self, partition: int, published: Published) -> list[asyncio.Future[object]]:
        futures: list[asyncio.Future[object]] = []
        if published.sessions:
            futures += await self._publisher.send_batch(topics.SESSIONS, partition, published.sessions)
        if published.letters:
            futures += await send_letters(self._publisher, published.letters)
        return futures

    def _count(self, machine: Sessionizer) -> None:
        counts = machine.counters.values
        if evicted := counts.get("sessions_evicted_total"):
            log.warning("more open sessions than sessions.max_open allows, the longest idle were closed", count=evicted)
        for name, amount in counts.items():
            self._counters.add(cast(metrics.Counter, name), amount)
        counts.clear()
