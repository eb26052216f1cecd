"""Micro-batches inside Faust: one event is a slice of what one fetch brought of one partition.

Every topic of an app on this transport is read in batches. Faust's consumer keeps its tasks, threads and rebalancing;
replaced are what gets fetched and yielded, which offsets may be committed, and where reading starts
(docs/decisions; each replacement was measured, see the methods).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import faust
import structlog
from aiokafka.structs import OffsetAndMetadata
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode.utils.futures import notify

from producers.kafka.holes import HoleCheck, expects_no_holes
from producers.kafka.message import Message
from stream_processors.fetching import BatchThread
from stream_processors.intake import Intake, RecordBatch
from stream_processors.ledger import Ledger

log = structlog.get_logger()

#: Pause before a hole is read again, seconds.
_HOLE_PAUSE = 0.02


class PassThrough(faust.Schema):  # type: ignore[misc]
    """Decoding is the agents' own work: they get the batch as it is."""

    def compile(self, app: Any, **_: Any) -> Any:
        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, None, message)

        return decode


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer with batches for messages and a ledger for its offsets."""

    intake: Intake
    ledger: Ledger[TP]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.intake = self.app.transport.intake
        self.ledger = self.intake.ledger
        self._holes: dict[TP, HoleCheck] = {}
        #: Counts how often reading was placed anew; what was fetched under another number is dropped.
        self._placing = 0
        self._place_again = False
        #: Whether fetched records are still being handed out.
        self._handing_out = False

    def _new_consumer_thread(self) -> Any:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    # What gets fetched

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        if self._place_again:
            await self.perform_seek()
        placing = self._placing
        records = await super()._getmany(active_partitions, timeout)
        if placing != self._placing:
            # The partitions were placed while this fetch was under way: its records may be from before, and the
            # positions already behind them.
            self._place_again = True
            return {}
        return records

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - as above
        """Batches of one fetch, the partitions in turn, so that none waits for the whole of another."""
        records, _ = await self._wait_next_records(timeout)
        if not records or self.should_stop or not self.flow_active:
            # In a rebalance aiokafka reads on by itself, from where nobody has placed it.
            return
        placing = self._placing
        generation = self.app.consumer_generation_id
        size = self.intake.settings.worker.batch
        slices: list[tuple[TP, Sequence[Message], int]] = []
        for partition, fetched in records.items():
            tp = ensure_TP(partition)
            good = await self._without_holes(tp, fetched)
            if placing != self._placing or not self.flow_active:
                # A rebalance has begun or passed; reading is placed anew at its end.
                return
            slices.extend((tp, good[start : start + size], start) for start in range(0, len(good), size))
        slices.sort(key=lambda each: each[2])
        self._handing_out = True
        for tp, part, _start in slices:
            if placing != self._placing or not self.flow_active:
                break
            batch = RecordBatch(tp, part, generation)
            self.ledger.delivered(tp, batch)
            newest = part[-1]
            yield (
                tp,
                ConsumerMessage(
                    tp.topic,
                    tp.partition,
                    batch.last,
                    newest.timestamp / 1000.0,
                    0,
                    (),
                    None,
                    batch,
                    None,
                    0,
                    0,
                    tp,
                    generation_id=generation,
                ),
            )
        self._handing_out = False

    async def _without_holes(self, tp: TP, fetched: Sequence[Message]) -> Sequence[Message]:
        """What may be delivered now, see producers.kafka.holes."""
        if not fetched:
            return fetched
        expected = self.ledger.expected(tp)
        if expected is not None and fetched[0].offset < expected:
            log.warning("log began anew", topic=tp.topic, partition=tp.partition, expected=expected)
            self.intake.counters.add("epochs_changed_total")
            if self.intake.on_rewound:
                await self.intake.on_rewound(tp)
            self._begin(tp, None, None, None)
        kafka = self.intake.settings.kafka
        if not expects_no_holes(kafka, tp.topic):
            return fetched
        check = self._holes.get(tp)
        if check is None:
            expected = self.ledger.expected(tp)
            if expected is None and kafka.embedded:
                # It deletes nothing: whatever comes first of a log that is read from its beginning, that has offset 0.
                expected = 0
            check = self._holes[tp] = HoleCheck(kafka.hole_wait, expected)
        seen = check.seen
        checked = check.feed(fetched, time.monotonic())
        if check.seen > seen:
            self.intake.counters.add("holes_seen_total", check.seen - seen)
        for gap in checked.passed:
            log.error("hole passed", topic=tp.topic, partition=tp.partition, first=gap.first, last=gap.last)
            self.intake.counters.add("holes_passed_total")
            if self.intake.on_gap:
                await self.intake.on_gap(tp, gap)
        if checked.seek_to is not None:
            placing = self._placing
            await asyncio.sleep(_HOLE_PAUSE)
            if placing == self._placing and self.flow_active:
                await self._thread.call_thread(self._thread.place, {tp: checked.seek_to})
        return checked.good

    # Faust's pressure valve opens again only when an agent's queue is empty: partitions starved for 9 to 11 s.
    # The bounded queue itself is the back-pressure: putting into it waits.

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing is closed: the queue makes the fetcher wait."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing was closed."""

    # Which offsets may be committed. Faust's gap intervals let each commit advance by one batch only (1M records
    # processed in 4 s, 92k committed after 14 s).

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Batches have no gaps to remember."""

    def ack(self, message: Any) -> bool:
        """The stream lets go of a message. Faust does so for skipped ones too, so it proves nothing: only
        ``RecordBatch.processed`` does."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    async def wait_empty(self) -> None:
        """Wait until the agents have finished what they began, say what is left to say, then commit. Faust also
        collects garbage in each round, which takes seconds with a million sessions in memory."""
        while True:
            while self._unacked_messages and not self.should_stop:
                await self._wait_for_ack(timeout=1)
                self._clean_unacked_messages()
            if self.intake.on_leaving:
                await self.intake.on_leaving()
            await self.commit()
            if self.should_stop or not self._unacked_messages:
                # Else an agent took a batch just before its queue was cleared.
                return

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what is due now. Faust lets one commit run at a time, and who comes meanwhile only waits for it: but
        that one may know less."""
        waited = self._commit_fut is not None
        done = await super().commit(topics, start_new_transaction)
        return await super().commit(topics, start_new_transaction) if waited else bool(done)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what is due; a commit that fails is repeated by the next one."""
        assigned = self.assignment()
        due = {tp: offset for tp, offset in self.ledger.due().items() if tp in assigned}
        if not due or not await self._thread.commit(due):
            return False
        self.ledger.committed(due.items())
        return True

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Everything under way is finished, then committed, before the partitions go (Faust drops what was acked
        but not committed: 37,250 duplicates at joins and leaves, 0 this way)."""
        await super().on_partitions_revoked(revoked)
        try:
            async with asyncio.timeout(self.intake.settings.kafka.session_timeout / 2):
                await self.commit()
        except TimeoutError:
            log.warning("commit before revocation took too long; some records will be read twice")
        self.ledger.clear()
        self._holes.clear()

    def marks(self) -> dict[TP, tuple[int, int | None]]:
        """Per assigned partition: the offset up to which everything is processed, and the high-water mark."""
        found = {}
        for tp, (fetched, highwater) in self._thread.marks().items():
            position = self.ledger.position(tp)
            if fetched is not None and (position is None or not (self._handing_out or self.ledger.is_busy(tp))):
                # Behind the last record there may be offsets without records: markers of transactions.
                position = max(fetched, position or 0)
            found[tp] = (position or 0, highwater)
        return found

    # Where reading starts

    async def perform_seek(self) -> None:
        """Place every assigned partition: where its kept state stands, else at the committed offset of this epoch,
        else at the beginning of the log."""
        self._placing += 1
        self._place_again = False
        placing = self._placing
        assigned = self.assignment()
        committed: dict[TP, OffsetAndMetadata] = await self._thread.call_thread(self._thread.fetch_committed, assigned)
        if placing != self._placing:
            # Placed by somebody who asked later.
            return
        positions: dict[TP, int | None] = {}
        for tp in assigned:
            found = committed.get(tp)
            epoch = self.intake.epochs.get(tp.topic, "")
            if found is not None and found.metadata and epoch and found.metadata != epoch:
                log.warning("committed offset is of another epoch", topic=tp.topic, partition=tp.partition)
                self.intake.counters.add("epochs_changed_total")
                found = None
            offset = found.offset if found is not None else None
            start = self.intake.starts.get(tp)
            position = start.position if start else offset
            self._begin(tp, position, offset, start.floor if start else None)
            positions[tp] = position
        await self._thread.call_thread(self._thread.place, positions)

    def _begin(self, tp: TP, position: int | None, committed: int | None, floor: int | None) -> None:
        """A partition is read from ``position`` on, and whoever remembers where it stood forgets that."""
        self.ledger.begin(tp, position, committed, floor)
        # Faust drops records below this without a word, and they stay under way; a placing of ours is always meant.
        self._read_offset[tp] = position or None
        self._holes.pop(tp, None)


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """Set it on an app right after the app was made: ``app.transport = BatchTransport(..., intake)``."""

    Consumer = BatchConsumer

    def __init__(self, app: Any, intake: Intake) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.intake = intake


def batch_topics(app: Any, *names: str) -> Any:
    """Topics whose events are RecordBatches."""
    return app.topic(*names, schema=PassThrough())
