"""Reading a range of a sensor topic once more, and storing only the rows that ``events`` lacks.

Safe beside a running sink, because it is what a second sink would do (``ledger``; hard-questions: fencing): it becomes
the owner of the partition, and only then looks what is stored. The running sink is refused at its next insert and
takes the partition back within ``kafka.session_timeout``; a refill that is fenced by it begins its block again. Where
nothing is missing nobody is fenced and nothing is written. No committed offset is touched.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from typing import TypeVar

import msgspec
from aiokafka import TopicPartition

from producers.kafka.history import read_history
from producers.kafka.message import Message
from schemas.settings import Kafka
from stream_processors.backoff import Backoff
from stream_processors.imports import doubles
from stream_processors.sink.answers import FencedError, RefusedError, UnansweredError
from stream_processors.sink.derived import recount
from stream_processors.sink.places import Place
from stream_processors.sink.reading import Reader
from stream_processors.sink.spool import Part
from stream_processors.sink.writer import Writer

#: Messages looked up at once.
_SLICE = 5000
#: How often a block is begun again, or a statement repeated, before the refill gives up.
ATTEMPTS = 20

T = TypeVar("T")


class Refilled(msgspec.Struct):
    """What was found in a range: messages read, rows they make, rows that were missing, and of these the refused."""

    messages: int = 0
    rows: int = 0
    missing: int = 0
    #: Place of a refused row → what ClickHouse did not like.
    refused: dict[str, str] = {}


async def refill(kafka: Kafka, writer: Writer, place: Place, first: int, last: int, *, store: bool = True) -> Refilled:
    """Offsets ``first`` to ``last``, both included. What the sink has not settled yet is better left to it.
    Without ``store`` what is missing is only counted.

    Raises KafkaError, TimeoutError, UnansweredError when ClickHouse stays away. Can be run again after any of them.
    """
    found = Refilled()
    touched: set[int] = set()
    reader = Reader(place)
    async with aclosing(slices(kafka, place.topic_partition, first, last, _SLICE)) as pieces:
        async for messages in pieces:
            reading = reader.read(messages)
            part = Part(reading.rows, reading.offsets)
            asked = part.imported(messages)
            if asked:
                part = part.without_messages(doubles(place.source, asked, await writer.imported(asked)))
            found.messages += len(messages)
            found.rows += len(part.rows)
            if not part.rows:
                continue
            missing = found.missing
            await complete(writer, place, part, found, store=store)
            if store and found.missing > missing:
                touched |= await answered(lambda part=part: writer.hours(place, part.offsets[0], part.offsets[-1]))  # type: ignore[misc]
    if touched:
        # Rows that were deleted from events alone were left in the roll-up, where their insert counted them once more.
        await recount_hours(writer, place, touched)
    return found


async def complete(
    writer: Writer, place: Place, part: Part, found: Refilled, *, store: bool = True, mark: str = ""
) -> None:
    """Store what the table lacks of some rows. ``mark`` becomes a part of the token.

    Raises UnansweredError when ClickHouse stays away.
    """
    first, last = part.offsets[0], part.offsets[-1]
    backoff = Backoff()
    missing_at_first: int | None = None
    for _ in range(ATTEMPTS):
        try:
            missing = part.without(await writer.stored(place, first, last))
            if missing_at_first is None:
                missing_at_first = len(missing.rows)
                found.missing += missing_at_first
            if not missing.rows or not store:
                return
            owner = (await writer.take_over([place]))[place]
            missing = part.without(await writer.stored(place, first, last))
            await _insert(writer, place, owner, missing, found, mark)
        except (FencedError, UnansweredError):
            await backoff.sleep()
        else:
            return
    raise UnansweredError(f"{place.topic}/{place.partition}: offsets {first} to {last} could not be completed")


async def _insert(writer: Writer, place: Place, owner: int, part: Part, found: Refilled, mark: str) -> None:
    """One insert, which is never repeated: after a failure the table is looked at again under a new owner.

    The label names the owner, so that ClickHouse does not take the rows for those of the insert that was lost.
    """
    if not part.rows:
        return
    try:
        await writer.insert(place, owner, part.rows, f"{part.label()}@{owner}{mark}", time.time_ns() // 1_000_000)
    except RefusedError as error:
        if len(part.rows) == 1:
            found.refused[f"{place.topic}/{place.partition}/{part.offsets[0]}"] = str(error)
            return
        for half in part.halves():
            await _insert(writer, place, owner, half, found, mark)


async def slices(
    kafka: Kafka, partition: TopicPartition, first: int, last: int, most: int
) -> AsyncGenerator[Sequence[Message], None]:
    """The messages of a range in pieces of at most ``most``, in order. Raises KafkaError, TimeoutError."""
    async with aclosing(read_history(kafka, {partition: first})) as history:
        async for _, messages in history:
            wanted = [message for message in messages if message.offset <= last]
            for start in range(0, len(wanted), most):
                yield wanted[start : start + most]
            if len(wanted) < len(messages):
                return


async def recount_hours(writer: Writer, place: Place, hours: Collection[int]) -> None:
    """Count hours of the roll-up of events again, what they have of this partition.

    It owns the partition meanwhile, so that nobody inserts between the two counts; a sink takes it back. Raises
    UnansweredError when ClickHouse stays away, or a sink is faster every time.
    """
    for _ in range(ATTEMPTS):
        owner = (await answered(lambda: writer.take_over([place])))[place]
        try:
            await answered(lambda owner=owner: recount(writer, place, owner, hours))  # type: ignore[misc]
        except FencedError:
            continue
        return
    raise UnansweredError("the hours of events_by_hour could not be counted: a sink was faster each time")


async def answered(statement: Callable[[], Awaitable[T]]) -> T:
    """The statement's result; repeated for a while where ClickHouse does not answer."""
    backoff = Backoff()
    for _ in range(ATTEMPTS - 1):
        try:
            return await statement()
        except UnansweredError:
            await backoff.sleep()
    return await statement()
