"""One block into ClickHouse, through all cases of ``ledger``."""

import gc
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from producers.kafka.publisher import Publisher
from schemas.dead_letters import DeadLetter, Reason
from schemas.metrics import Counters
from schemas.topics import SESSIONS
from stream_processors.backoff import Backoff
from stream_processors.imports import doubles
from stream_processors.sink.answers import RefusedError, UnansweredError
from stream_processors.sink.derived import derive_again
from stream_processors.sink.ledger import Case, Ledger, Position, case_of, label_of_block
from stream_processors.sink.letters import publish_letters
from stream_processors.sink.places import Place
from stream_processors.sink.reading import dead_letter, newest
from stream_processors.sink.spool import Block, Part
from stream_processors.sink.writer import Writer

log = structlog.get_logger()

#: So many refused rows without one between them that is taken are no bad rows: somebody changed the table.
REFUSED_IN_A_ROW = 100

T = TypeVar("T")


class TableError(Exception):
    """ClickHouse refuses whatever it is given; the text says what it does not like."""


class Storing:
    """Stores blocks; returns only when every row is in the table or a dead letter.

    Tries without end while ClickHouse is away. Raises FencedError when another sink owns the partition; cancelled
    when the partition is lost.
    """

    def __init__(self, writer: Writer, publisher: Publisher, counters: Counters) -> None:
        self._writer = writer
        self._publisher = publisher
        self._counters = counters
        #: What ClickHouse said last when it did not answer as it should; empty while it does.
        self.trouble = ""
        #: Rows refused since a row was taken.
        self._refused = 0

    async def store(self, ledger: Ledger, owner: int, block: Block) -> None:
        """Settle a block and move the ledger's ``done`` behind it."""
        if ledger.is_below(block.last):
            return
        place = ledger.place
        label = label_of_block(block.first, block.last)
        part = block.part()
        if place.topic == SESSIONS:
            part = newest(part)
        else:
            part = await self._without_doubles(place, part, block)
            if part.rows and ledger.may_hold(block.first):
                stored = await self._stored_between(place, block.first, block.last)
                if case_of(part.positions(), stored) is not Case.NEW:
                    self._counters.add("rows_already_stored_total", len(stored))
                    part = part.without(stored)
                    label = part.label() if part.rows else label
        await self._settle(place, owner, part, label, block)
        ledger.done = block.last + 1

    async def complete(self, owner: int, ledger: Ledger) -> None:
        """After a partition was taken over: what should have followed from the rows that were found there."""
        if ledger.done < ledger.frontier and ledger.place.topic != SESSIONS:
            await self._derive_again(ledger.place, owner, ledger.done, ledger.frontier - 1)

    async def until_answered(self, statement: Callable[[], Awaitable[T]]) -> T:
        """The statement's result, however long ClickHouse takes to come back."""
        backoff = Backoff()
        while True:
            try:
                result = await statement()
            except UnansweredError as error:
                self.trouble = str(error)
                log.warning("ClickHouse does not answer, trying again", error=str(error))
                await backoff.sleep()
            else:
                self.trouble = ""
                return result

    async def _without_doubles(self, place: Place, part: Part, block: Block) -> Part:
        """The rows but those of imported messages that were imported before (``imports``)."""
        asked = part.imported(block.messages)
        if not asked:
            return part
        known = await self.until_answered(lambda: self._writer.imported(asked))
        again = doubles(place.source, asked, known)
        self._counters.add("records_imported_again_total", len(again))
        return part.without_messages(again)

    async def _settle(self, place: Place, owner: int, part: Part, label: str, block: Block) -> None:
        """Each row into the table, or a dead letter: those are written when all of the block is known.

        Where row after row is refused it is not the rows that changed: they are kept and tried again without end.
        """
        backoff = Backoff()
        while True:
            letters: list[DeadLetter] = []
            try:
                await self._insert(place, owner, part, label, block, letters)
            except TableError as error:
                self.trouble = str(error)
                self._counters.add("inserts_retried_total")
                log.error("the table takes no rows, trying again", topic=place.topic, error=str(error))
                await backoff.sleep()
                if place.topic != SESSIONS:
                    part = part.without(await self._stored_between(place, block.first, block.last))
                    label = part.label() if part.rows else label
            else:
                await publish_letters(self._publisher, letters)
                self._counters.add("rows_refused_total", len(letters))
                return

    async def _insert(
        self, place: Place, owner: int, part: Part, label: str, block: Block, letters: list[DeadLetter]
    ) -> None:
        refill = 0
        while part.rows:
            try:
                unsure = await self._until_inserted(place, owner, part, label, block.ingested_at)
            except RefusedError as error:
                await self._halve(place, owner, part, block, letters, error)
                return
            self._refused = 0
            if not unsure or place.topic == SESSIONS:
                # Sessions need no look into the table: a version stored twice is one session all the same.
                self._counters.add("rows_inserted_total", len(part.rows))
                return
            stored = await self._stored_between(place, part.offsets[0], part.offsets[-1])
            await self._derive_again(place, owner, part.offsets[0], part.offsets[-1])
            left = part.without(stored)
            self._counters.add("rows_inserted_total", len(part.rows) - len(left.rows))
            if left.rows:
                refill += 1
                log.error("rows were missing after an insert, storing them again", count=len(left.rows), label=label)
                label = left.label(refill)
            part = left

    async def _stored_between(self, place: Place, first: int, last: int) -> set[Position]:
        return await self.until_answered(lambda: self._writer.stored(place, first, last))

    async def _derive_again(self, place: Place, owner: int, first: int, last: int) -> None:
        await self.until_answered(lambda: derive_again(self._writer, place, owner, first, last))

    async def _until_inserted(self, place: Place, owner: int, part: Part, label: str, ingested_at: int) -> bool:
        """Insert, again and again until there is an answer. Whether there were attempts without one."""
        backoff = Backoff()
        unsure = False
        while True:
            try:
                await self._writer.insert(place, owner, part.rows, label, ingested_at)
            except UnansweredError as error:
                unsure = True
                self.trouble = str(error)
                self._counters.add("inserts_retried_total")
                log.warning("insert without answer, trying again", block=label, topic=place.topic, error=str(error))
            else:
                self.trouble = ""
                return unsure
            # The client's exceptions are cycles that hold the body, 20 MB each time, and the collector comes rarely.
            gc.collect()
            await backoff.sleep()

    async def _halve(
        self, place: Place, owner: int, part: Part, block: Block, letters: list[DeadLetter], error: RefusedError
    ) -> None:
        """Find the rows that ClickHouse refuses: a dead letter each, the others are stored."""
        if len(part.rows) > 1:
            for half in part.halves():
                await self._insert(place, owner, half, half.label(), block, letters)
            return
        self._refused += 1
        if self._refused > REFUSED_IN_A_ROW:
            raise TableError(f"ClickHouse refused {self._refused} rows one after the other, the last with: {error}")
        offset = part.offsets[0]
        log.error("row refused", topic=place.topic, partition=place.partition, offset=offset, error=str(error))
        letters.append(dead_letter(place, offset, block.message_at(offset), Reason.REFUSED_BY_STORE, str(error)))
