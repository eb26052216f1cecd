"""Reading a range of a sensor topic through this version's decoder, whose rows take the place of those that are there.

The bytes on Kafka are the truth; a decoder that was wrong has left wrong rows. For each piece of the range the rows are
deleted by their position and inserted anew, and at the end the hours of the roll-up that were touched are counted again
(hard-questions: decoders that were wrong). It is safe beside a running sink for the reasons of ``refill``: it owns the
partition meanwhile, and stays below what the sink has settled.

Nothing vanishes: what this version refuses keeps the rows it has, and a row that ClickHouse refuses becomes a dead
letter. If it is killed between deleting and inserting, rows are missing until it has run again over the same range.
"""

from collections.abc import Sequence
from contextlib import aclosing
from importlib.metadata import version

import msgspec

from producers.kafka.message import Message
from producers.kafka.publisher import Publisher
from schemas.dead_letters import DeadLetter, Reason
from schemas.settings import Kafka
from stream_processors.imports import doubles
from stream_processors.sink.letters import publish_letters
from stream_processors.sink.places import Place
from stream_processors.sink.reading import Reader, dead_letter
from stream_processors.sink.refill import Refilled, answered, complete, recount_hours, slices
from stream_processors.sink.spool import Part
from stream_processors.sink.writer import Writer

#: Messages whose rows are exchanged at once: readers miss no more than these, and not for long.
_PIECE = 8_000


class Redecoded(msgspec.Struct):
    """What became of a range: messages read, rows made of them, older rows they replace, messages that this version
    refuses though there are rows of them, hours of event time that were touched, and rows that ClickHouse refused."""

    messages: int = 0
    rows: int = 0
    replaced: int = 0
    kept: int = 0
    hours: set[int] = set()
    #: Place of a refused row → what ClickHouse did not like.
    refused: dict[str, str] = {}


async def redecode(
    kafka: Kafka, writer: Writer, publisher: Publisher, place: Place, first: int, last: int, found: Redecoded
) -> None:
    """Offsets ``first`` to ``last``, both included, none that the sink has not settled; adds to ``found`` as it goes.

    Raises KafkaError, TimeoutError, UnansweredError when ClickHouse stays away. Can be run again after any of them.
    """
    reader = Reader(place)
    touched: set[int] = set()
    try:
        async with aclosing(slices(kafka, place.topic_partition, first, last, _PIECE)) as pieces:
            async for messages in pieces:
                reading = reader.read(messages)
                part = Part(reading.rows, reading.offsets)
                asked = part.imported(messages)
                if asked:
                    # Before anything is deleted: its own rows say that a line of a file was stored here.
                    known = await answered(lambda asked=asked: writer.imported(asked))  # type: ignore[misc]
                    part = part.without_messages(doubles(place.source, asked, known))
                found.messages += len(messages)
                found.rows += len(part.rows)
                await _exchange(writer, publisher, place, messages, part, found, touched)
    finally:
        if touched:
            found.hours |= touched
            await recount_hours(writer, place, touched)


async def _exchange(
    writer: Writer,
    publisher: Publisher,
    place: Place,
    messages: Sequence[Message],
    part: Part,
    found: Redecoded,
    touched: set[int],
) -> None:
    first, last = messages[0].offset, messages[-1].offset
    stored = await answered(lambda: writer.stored(place, first, last))
    kept = {offset for offset, _ in stored}.difference(part.offsets)
    found.kept += len(kept)
    replaced = sum(offset not in kept for offset, _ in stored)
    if replaced:
        touched |= await answered(lambda: writer.hours(place, first, last))
        await answered(lambda: writer.take_over([place]))
        await answered(lambda: writer.forget(place, first, last, kept))
        found.replaced += replaced
    if part.rows:
        filled = Refilled()
        await complete(writer, place, part, filled, mark=f"+{version('sojourn')}")
        touched |= await answered(lambda: writer.hours(place, first, last))
        found.refused |= filled.refused
        await publish_letters(publisher, _letters(place, messages, filled))


def _letters(place: Place, messages: Sequence[Message], filled: Refilled) -> list[DeadLetter]:
    """One for each message with a refused row."""
    if not filled.refused:
        return []
    by_offset = {message.offset: message for message in messages}
    found = []
    for name, why in filled.refused.items():
        offset = int(name.rpartition("/")[2])
        found.append(dead_letter(place, offset, by_offset.get(offset), Reason.REFUSED_BY_STORE, why))
    return found
