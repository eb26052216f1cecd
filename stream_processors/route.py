"""The agent ``route``: from what sensors publish to connection records, keyed by session key.

``plan`` is pure and decides what a batch becomes; ``Router`` reads and publishes. Route alone writes decoding failures
to the dead letters (hard-questions: dead letters once).
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from faust.types import TP

from producers.formats import DECODERS, Decoder, Rejection, Source, decode
from producers.kafka.holes import Gap
from producers.kafka.message import Message
from producers.kafka.publisher import Item, Publisher, partition_of
from schemas import topics
from schemas.dead_letters import DeadLetter, Reason, Stage
from schemas.metrics import Counters
from schemas.records import Action, Connection, session_key
from stream_processors.activity import activity_of, add_activity
from stream_processors.dead_letters.limits import BadRecords, TooManyBadRecordsError
from stream_processors.intake import Intake, RecordBatch
from stream_processors.ticks import SourceClock, due_ticks

_encode = msgspec.json.Encoder().encode
#: Base64 and the letter's other fields must fit into a message, too.
_LETTER_SHARE = 0.5
#: Seconds that one source of which nothing is known keeps back the commits of all others.
_LONGEST_SILENCE = 60.0

RECORD_ID_HEADER = "record_id"


class Routed(msgspec.Struct):
    """What a batch becomes. ``connections`` is in the order of the log; key None goes to every partition."""

    connections: list[tuple[bytes | None, Connection]] = []
    letters: list[DeadLetter] = []
    #: Sensor → event times, in the order of the log.
    times: dict[str, list[int]] = {}
    decoded: int = 0
    #: Why nothing may come after this batch, in words; most often empty.
    too_many: str = ""


def plan(records: Sequence[Message], decoder: Decoder, source: Source, longest: int) -> Routed:
    """Decode a batch of one source partition. ``longest``: bytes of a refused value that a dead letter keeps.

    The activity of a session stands before the next other record of that session, so that positions ascend per key.
    """
    routed = Routed()
    connections = routed.connections
    times = routed.times
    pending: dict[bytes, Connection] = {}
    for message in records:
        found = decode(
            decoder, message.value, message.offset, message.timestamp * 1000, source, _record_id(message.headers)
        )
        if isinstance(found, Rejection):
            routed.letters.append(_letter(message, source, found, longest))
            continue
        routed.decoded += len(found)
        for decoded in found:
            event, connection = decoded.event, decoded.connection
            try:
                times[event.sensor].append(event.time)
            except KeyError:
                times[event.sensor] = [event.time]
            if connection is None:
                key = b"" if decoded.alone else session_key(event)
                if not key:
                    continue
                waiting = pending.get(key)
                if waiting is None:
                    pending[key] = activity_of(event, source.text)
                elif not add_activity(waiting, event):
                    connections.append((key, waiting))
                    pending[key] = activity_of(event, source.text)
            elif connection.action is Action.SENSOR_START:
                # It concerns every session of the sensor, so everything before it goes first.
                connections.extend(pending.items())
                pending.clear()
                connections.append((None, connection))
            else:
                key = session_key(connection)
                waiting = pending.pop(key, None)
                if waiting is not None:
                    connections.append((key, waiting))
                connections.append((key, connection))
                if connection.action is Action.AMEND or connection.action is Action.REMOVE:
                    # The time of a request, not of the sensor: it proves nothing about the sensor's other sessions.
                    times[event.sensor].pop()
    connections.extend(pending.items())
    return routed


def by_partition(connections: Iterable[tuple[bytes | None, Connection]], partitions: int) -> dict[int, list[Item]]:
    """Messages per partition of ``connections``, each partition in the order given."""
    items: dict[int, list[Item]] = {}
    for key, connection in connections:
        value = _encode(connection)
        if key is None:
            everywhere = _encode((connection.sensor,))
            for partition in range(partitions):
                items.setdefault(partition, []).append((everywhere, value, ()))
            continue
        partition = partition_of(key, partitions)
        try:
            items[partition].append((key, value, ()))
        except KeyError:
            items[partition] = [(key, value, ())]
    return items


def _record_id(headers: Sequence[tuple[str, bytes]]) -> str:
    for name, value in headers:
        if name == RECORD_ID_HEADER:
            return value.decode(errors="replace")
    return ""


def _letter(message: Message, source: Source, why: Rejection, longest: int) -> DeadLetter:
    value, expected = message.value, why.expected
    cut = value is not None and len(value) > longest
    if value is not None and cut:
        # The whole of it is still where it was read, as long as that topic keeps it.
        value = value[:longest]
        expected = f"{expected} (value cut to {longest} bytes)".lstrip()
    return DeadLetter(
        stage=Stage.ROUTE,
        reason=why.reason,
        field=why.field,
        expected=expected,
        topic=source.topic,
        partition=source.partition,
        offset=message.offset,
        epoch=source.epoch,
        time=message.timestamp * 1000,
        key=message.key,
        value=value,
        cut=cut,
        headers=list(message.headers),
    )


class Router:
    """Publishes what ``plan`` decided, and the ticks."""

    def __init__(self, intake: Intake, publisher: Publisher, counters: Counters) -> None:
        self._intake = intake
        self._publisher = publisher
        self._counters = counters
        self._decoders = {topic.name: DECODERS[_format(topic.name)] for topic in topics.sensor_topics()}
        self._longest = int(intake.settings.kafka.max_message_bytes * _LETTER_SHARE)
        self._clocks: dict[TP, SourceClock] = {}
        #: Offset of the first record of a source whose time no tick has told, or tells now: no commit may pass it. Who
        #: reads on behind it could not tell it either, and where the sensor never speaks again its sessions stay open.
        self._untold: dict[TP, int] = {}
        self._telling: dict[TP, int] = {}
        #: Since when that has had to wait for a source of which nothing is known yet, by the monotonic clock.
        self._silent_since: float | None = None
        self._bad: dict[TP, BadRecords] = {}

    def source(self, tp: TP) -> Source:
        """The partition in the life of its log that is being read now."""
        return Source(epoch=self._intake.epochs[tp.topic], topic=tp.topic, partition=tp.partition)

    def plan(self, batch: RecordBatch) -> Routed:
        routed = plan(batch.records, self._decoders[batch.tp.topic], self.source(batch.tp), self._longest)
        self._counters.add("records_decoded_total", routed.decoded)
        self._counters.add("records_rejected_total", len(routed.letters))
        self._counters.add("connections_routed_total", len(routed.connections))
        routed.too_many = self._judge(batch, routed.letters)
        return routed

    def _judge(self, batch: RecordBatch, letters: Sequence[DeadLetter]) -> str:
        records = self._bad.get(batch.tp)
        if records is None:
            records = self._bad[batch.tp] = BadRecords(self._intake.settings.dead_letters)
        if not letters:
            records.good(len(batch.records))
            return ""
        refused = {letter.offset for letter in letters}
        why = records.mixed([message.offset in refused for message in batch.records])
        if not why:
            return ""
        self._counters.add("bad_records_limits_total")
        last = letters[-1]
        return (
            f"{batch.tp.topic}/{batch.tp.partition}: {why}; the last is {last.reason} at offset {last.offset}. Nothing "
            "is lost: mend the sensor or the decoder, or allow more, then start the worker again"
        )

    async def send(self, batch: RecordBatch, routed: Routed) -> list[asyncio.Future[object]]:
        """Queue what a batch leads to. Raises KafkaError; may be called again."""
        publisher = self._publisher
        futures: list[asyncio.Future[object]] = []
        if routed.connections:
            partitions = await publisher.partitions_of(topics.CONNECTIONS)
            for partition, items in by_partition(routed.connections, partitions).items():
                futures += await publisher.send_batch(topics.CONNECTIONS, partition, items)
        if routed.letters:
            futures += await send_letters(publisher, routed.letters)
        return futures

    def done(self, batch: RecordBatch, routed: Routed) -> None:
        """Kafka has it: what the sensors' clocks said counts from now on.

        Raises TooManyBadRecordsError now that the letters of a batch that had too many are there to be looked at.
        """
        if routed.too_many:
            raise TooManyBadRecordsError(routed.too_many)
        clock = self._clock(batch.tp)
        clock.observe(routed.times)
        if clock.has_moved:
            self._untold.setdefault(batch.tp, batch.first)
        self._hold(batch.tp)

    def due_ticks(self, marks: Mapping[TP, tuple[int, int | None]]) -> list[Item]:
        """What has moved since the last call; ``marks`` has position and high-water mark of each source partition."""
        if not self._intake.epochs:
            return []
        for tp in [tp for tp in self._clocks if tp not in marks]:
            del self._clocks[tp]
            self._let_go(tp)
        clocks = [
            (self._clock(tp), highwater is not None and position >= highwater)
            for tp, (position, highwater) in marks.items()
            if tp.topic in self._decoders
        ]
        ticks = due_ticks(clocks)
        self._bound_silence(bool(ticks))
        for tp in [tp for tp in self._untold if not self._clock(tp).has_moved]:
            self._telling.setdefault(tp, self._untold.pop(tp))
        return [(None, _encode(tick), ()) for tick in ticks]

    def told(self) -> None:
        """The ticks that were due last are on Kafka."""
        telling, self._telling = self._telling, {}
        for tp in telling:
            self._hold(tp)

    def _bound_silence(self, speaking: bool) -> None:
        """Nobody speaks while a source is not known; where that lasts, commits go on as if all had been told."""
        if speaking or not self._untold:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = time.monotonic()
        elif time.monotonic() - self._silent_since > _LONGEST_SILENCE:
            for tp in list(self._untold):
                self._let_go(tp)

    def _let_go(self, tp: TP) -> None:
        self._untold.pop(tp, None)
        self._telling.pop(tp, None)
        self._hold(tp)

    def _hold(self, tp: TP) -> None:
        self._intake.ledger.hold(tp, self._telling.get(tp, self._untold.get(tp)))

    def repeat_ticks(self) -> None:
        """After a rebalance, and when ticks were not sent."""
        for clock in self._clocks.values():
            clock.repeat()

    async def send_ticks(self, ticks: list[Item]) -> None:
        """Tell every partition of ``connections``. Raises KafkaError."""
        futures = []
        for partition in range(await self._publisher.partitions_of(topics.CONNECTIONS)):
            futures += await self._publisher.send_batch(topics.CONNECTIONS, partition, ticks)
        await asyncio.gather(*futures)
        self.told()

    async def gap(self, tp: TP, gap: Gap) -> None:
        """A hole that was given up becomes one dead letter, named by its first offset."""
        letter = DeadLetter(
            stage=Stage.ROUTE if tp.topic in self._decoders else Stage.SESSIONIZE,
            reason=Reason.HOLE,
            expected=f"offsets {gap.first} to {gap.last}",
            topic=tp.topic,
            partition=tp.partition,
            offset=gap.first,
            epoch=self._intake.epochs.get(tp.topic, ""),
            time=time.time_ns() // 1000,
        )
        await asyncio.gather(*await send_letters(self._publisher, [letter]))

    def _clock(self, tp: TP) -> SourceClock:
        source = self.source(tp).text
        clock = self._clocks.get(tp)
        if clock is None or clock.source != source:
            clock = self._clocks[tp] = SourceClock(source)
            # Offsets of a log that began anew say nothing of this one.
            self._let_go(tp)
        return clock


async def send_letters(publisher: Publisher, letters: Sequence[DeadLetter]) -> list[asyncio.Future[object]]:
    """Queue dead letters; they are safe when the futures have results."""
    items: list[Item] = [(letter.message_key(), _encode(letter), ()) for letter in letters]
    return await publisher.send_batch(topics.DEAD_LETTERS, 0, items)


def _format(topic: str) -> str:
    name = topics.format_of(topic)
    if name is None:
        raise ValueError(f"{topic} is no topic that sensors write")
    return name
