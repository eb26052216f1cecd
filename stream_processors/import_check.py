"""What route does with a batch that has lines of files in it: it waits for what the sink decides of them (``imports``).

The sink has decided on a message when its id is in ``events``: here, then the message is new, or at another place, then
it was imported before and route leaves it out. A row that ClickHouse refuses never comes; the sink's commit shows that
it is past it, and the message counts as new. While ClickHouse or the sink is away batches with imports wait, and with
them their partition; nothing is lost by it, the sink could not store it either.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from producers.formats import Rejection, Source, decode
from producers.kafka.message import Message
from schemas.records import Event
from schemas.settings import Settings
from stream_processors import groups
from stream_processors.imports import Imported, Origin, doubles, imported_of, is_import
from stream_processors.intake import RecordBatch
from stream_processors.sink.answers import UnansweredError
from stream_processors.sink.quick_events import record_id_of
from stream_processors.sink.reading import decoder_of
from stream_processors.sink.writer import Writer

log = structlog.get_logger()

#: Seconds between two looks at ``events``; the sink flushes every 200 ms.
_PAUSE = 0.1
#: Seconds between two looks at what the sink has committed.
_COMMITS = 1.0

Committed = Callable[[str, str, list[TopicPartition]], Awaitable[dict[TopicPartition, int]]]


class ImportCheck:
    """``settle`` takes out of a batch what was imported before."""

    def __init__(self, settings: Settings, source: Callable[[TP], Source], committed: Committed) -> None:
        self._writer = Writer(settings.clickhouse)
        self._source = source
        self._committed = committed

    async def settle(self, batch: RecordBatch, wanted: Callable[[], bool]) -> bool:
        """Leave what is new in the batch; false when it was not wanted any more before that was known."""
        imports = [message for message in batch.records if message.headers and is_import(message)]
        if not imports:
            return True
        source = self._source(batch.tp)
        asked = _asked(imports, batch.tp.topic, source)
        known = await self._decided(batch.tp, asked, wanted)
        if known is None:
            return False
        again = doubles((source.epoch, source.topic, source.partition), asked, known)
        if again:
            batch.records = [message for message in batch.records if message.offset not in again]
        return True

    async def close(self) -> None:
        await self._writer.close()

    async def _decided(
        self, tp: TP, asked: Sequence[Imported], wanted: Callable[[], bool]
    ) -> dict[str, set[Origin]] | None:
        """Where each id is stored, once the sink has come to all of them."""
        known: dict[str, set[Origin]] = {}
        next_look = time.monotonic() + _COMMITS
        passed = False
        while wanted():
            missing = [one for one in asked if one.record_id not in known]
            try:
                known |= await self._writer.imported(missing)
            except UnansweredError as error:
                log.warning("imports wait for ClickHouse", partition=str(tp), error=str(error))
                await asyncio.sleep(_COMMITS)
                continue
            # What is asked after the sink has passed the batch is the last word.
            if passed or all(one.record_id in known for one in missing):
                return known
            if time.monotonic() >= next_look:
                passed = await self._sink_is_past(tp, asked[-1].offset)
                next_look = time.monotonic() + _COMMITS
            if not passed:
                await asyncio.sleep(_PAUSE)
        return None

    async def _sink_is_past(self, tp: TP, offset: int) -> bool:
        place = TopicPartition(tp.topic, tp.partition)
        try:
            return (await self._committed(groups.SINK, tp.topic, [place]))[place] > offset
        except (KafkaError, TimeoutError) as error:
            log.warning("the sink's position is not known", partition=str(tp), error=repr(error))
            return False


def _asked(imports: Sequence[Message], topic: str, source: Source) -> list[Imported]:
    """What cannot be decoded is not asked for: it becomes a dead letter, under its own position."""
    decoder = decoder_of(topic)
    if decoder is None:
        return []
    rows: list[tuple[int, Event]] = []
    for message in imports:
        record_id = record_id_of(message)
        decoded = decode(decoder, message.value, message.offset, message.timestamp * 1000, source, record_id)
        if not isinstance(decoded, Rejection) and decoded:
            rows.append((message.offset, decoded[0].event))
    return imported_of(rows, {offset for offset, _ in rows})
