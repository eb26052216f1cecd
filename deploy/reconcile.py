"""``sojourn reconcile``: what ``events`` holds against the sessions made of it, and against its own offsets."""

import asyncio
import time
from collections.abc import Callable, Iterable
from itertools import groupby

import msgspec
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.client import Client

from deploy.reconcile_print import told_difference, told_double, told_hole
from deploy.replay import settled_offsets
from deploy.servers import kafka_sentence
from producers.kafka.epochs import TopicsError, epochs_of
from producers.kafka.publisher import Publisher, partition_of
from schemas import topics
from schemas.records import Session
from schemas.settings import Kafka, Settings, SettingsError
from schemas.times import SECOND
from stream_processors.machine.limits import limits_of
from stream_processors.reconcile import reading
from stream_processors.reconcile.comparing import Difference, compared
from stream_processors.reconcile.offsets import Hole, doubles, holes
from stream_processors.reconcile.reading import CHUNK, Identity
from stream_processors.reconcile.remaking import Stored, remade, watermark_of
from stream_processors.sink.alerts import alert_rules
from stream_processors.sink.answers import UnansweredError
from stream_processors.sink.places import Place
from stream_processors.sink.refill import refill
from stream_processors.sink.writer import Writer
from stream_processors.stored_sessions import UNAVAILABLE, client_of

#: Holes of one partition that are looked at one by one; more of them as one range.
_FEW_HOLES = 5
_encode = msgspec.json.Encoder().encode

Say = Callable[[str], None]


class ReconcileError(RuntimeError):
    """It cannot be done; the text is one sentence."""


class Found(msgspec.Struct):
    """What was looked at, what was wrong, and what of it was repaired."""

    sessions: int = 0
    #: Sessions that changed too short a time ago to be judged.
    unsettled: int = 0
    different: int = 0
    published: int = 0
    missing_rows: int = 0
    restored_rows: int = 0
    double_rows: int = 0

    @property
    def is_wrong(self) -> bool:
        """Whether something is left that is not as it should be."""
        return bool(self.different > self.published or self.missing_rows > self.restored_rows or self.double_rows)


def run_reconcile(settings: Settings, first: int, last: int, apply: bool, settled: float, say: Say) -> Found:
    """Look at a range of event time (microseconds UTC, ``last`` excluded), say what is wrong, and repair it on
    ``apply``. ``settled``: seconds a session must not have changed. Raises ReconcileError; what was done stays."""
    if first >= last:
        raise ReconcileError("--from must lie before --to")
    reconciling = _Reconciling(settings, first, last, apply, settled, say)
    try:
        return asyncio.run(reconciling.run())
    except (KafkaError, TimeoutError, TopicsError) as error:
        raise ReconcileError(kafka_sentence(error, settings.kafka)) from error
    except SettingsError as error:
        raise ReconcileError(str(error)) from error
    except (UnansweredError, *UNAVAILABLE) as error:
        raise ReconcileError(f"ClickHouse at {settings.clickhouse.url}: {error}") from error


class _Reconciling:
    def __init__(self, settings: Settings, first: int, last: int, apply: bool, settled: float, say: Say) -> None:
        self._settings = settings
        self._database = settings.clickhouse.database
        self._first = first
        self._last = last
        self._apply = apply
        self._now = time.time_ns() // 1000
        self._until = self._now - round(settled * SECOND)
        self._say = say
        self._found = Found()

    async def run(self) -> Found:
        # First the events: what is put back there is part of what sessions are made of.
        await self._offsets()
        client = await asyncio.to_thread(client_of, self._settings)
        try:
            await self._sessions(client)
        finally:
            client.close()
        return self._found

    async def _offsets(self) -> None:
        kafka = self._settings.kafka
        names = {topic.name for topic in topics.sensor_topics()}
        epochs = await epochs_of(kafka, names)
        settled = await _settled_places(kafka, epochs)
        client = await asyncio.to_thread(client_of, self._settings)
        try:
            found = await asyncio.to_thread(holes, client, self._database, self._first, self._last, settled)
            for double in await asyncio.to_thread(doubles, client, self._database, self._first, self._last):
                self._found.double_rows += double.rows - 1
                self._say(told_double(double))
        finally:
            client.close()
        writer = Writer(self._settings.clickhouse, alert_rules(self._settings.sink.alerts))
        try:
            for hole in _ranges(found):
                await self._hole(writer, hole, epochs.get(hole.place.topic) == hole.place.epoch)
        finally:
            await writer.close()

    async def _hole(self, writer: Writer, hole: Hole, is_current: bool) -> None:
        """Dead letters, imports that were there before and markers of transactions have no row, rightly: the log
        tells, while it is there."""
        if not is_current:
            self._say(told_hole(hole, None, 0))
            return
        kafka = self._settings.kafka
        refilled = await refill(kafka, writer, hole.place, hole.first, hole.last, store=self._apply)
        if refilled.missing:
            restored = refilled.missing - len(refilled.refused) if self._apply else 0
            self._found.missing_rows += refilled.missing
            self._found.restored_rows += restored
            self._say(told_hole(hole, refilled.missing, restored))

    async def _sessions(self, client: Client) -> None:
        database = self._database
        wanted = await asyncio.to_thread(reading.identities, client, database, self._first, self._last)
        writes = await asyncio.to_thread(reading.writes, client, database)
        starts = await asyncio.to_thread(reading.sensor_starts, client, database)
        reached = await asyncio.to_thread(reading.latest_times, client, database)
        async with Publisher(self._settings.kafka, client="sojourn-reconcile") as publisher:
            for some in _chunks(wanted):
                keys = set().union(*(wanted[one] for one in some))
                differences = await asyncio.to_thread(self._compare, client, some, keys, writes, starts, reached)
                for one in differences:
                    self._found.different += 1
                    self._say(told_difference(one))
                if self._apply:
                    await self._publish(publisher, [one.repair for one in differences if one.repair is not None])

    def _compare(
        self,
        client: Client,
        some: list[Identity],
        keys: set[str],
        writes: list[Stored],
        starts: list[Stored],
        reached: dict[str, list[int]],
    ) -> list[Difference]:
        """The sessions of some identities that began, or ended, in the range."""
        records = reading.records_of(client, self._database, some)
        keys |= {reading.key_of(stored) for stored in records}
        sensors = {stored.record.sensor for stored in records}
        known = {stored.record.record_id for stored in records}
        records += [one for one in writes if reading.key_of(one) in keys and one.record.record_id not in known]
        records += [one for one in starts if one.record.sensor in sensors]
        records.sort(key=lambda one: one.arrived)
        here = reading.sessions_of(client, self._database, keys)
        there = remade(
            records,
            [one for one in writes if reading.is_device_removal(one)],
            {sensor: watermark_of(reached[sensor]) for sensor in sensors if sensor in reached},
            limits_of(self._settings.sessions),
            self._now,
        )
        busy = {reading.key_of(one) for one in records if one.arrived > self._until}
        names = {
            name for name in here.keys() | there.keys() if any(self._is_meant(side.get(name)) for side in (here, there))
        }
        unsettled = {
            name
            for name in names
            if any(side[name].key in busy for side in (here, there) if name in side)
            or (name in here and here[name].modified_at > self._until)
        }
        self._found.unsettled += len(unsettled)
        names -= unsettled
        self._found.sessions += len(names)
        return compared(
            {name: one for name, one in here.items() if name in names},
            {name: one for name, one in there.items() if name in names},
        )

    def _is_meant(self, session: Session | None) -> bool:
        if session is None:
            return False
        moment = session.started_at if session.started_at is not None else session.last_activity_at
        return self._first <= moment < self._last

    async def _publish(self, publisher: Publisher, repaired: list[Session]) -> None:
        """Corrected versions go the way of all others: the sink stores them, and workers restore them."""
        futures = []
        for session in repaired:
            partition = partition_of(session.key.encode(), self._settings.kafka.partitions)
            key = _encode((session.sensor, session.session_id))
            futures += await publisher.send_batch(topics.SESSIONS, partition, [(key, _encode(session), ())])
        await asyncio.gather(*futures)
        self._found.published += len(repaired)


async def _settled_places(kafka: Kafka, epochs: dict[str, str]) -> dict[Place, int]:
    """The first offset of each sensor partition that the sink has not settled."""
    return {
        Place(epoch, topic, partition): offset
        for topic, epoch in epochs.items()
        for partition, offset in (await settled_offsets(kafka, topic)).items()
    }


def _ranges(found: Iterable[Hole]) -> Iterable[Hole]:
    """One range for a partition with many holes."""
    for place, some in groupby(sorted(found, key=lambda one: (str(one.place), one.first)), key=lambda one: one.place):
        holes_here = list(some)
        if len(holes_here) <= _FEW_HOLES:
            yield from holes_here
        else:
            yield Hole(place, holes_here[0].first, holes_here[-1].last)


def _chunks(wanted: Iterable[Identity]) -> Iterable[list[Identity]]:
    """Identities of one kind, so many at a time."""
    ordered = sorted(wanted, key=lambda one: (one.kind, one.sensor, one.name))
    for _, some in groupby(ordered, key=lambda one: one.kind):
        of_kind = list(some)
        for start in range(0, len(of_kind), CHUNK):
            yield of_kind[start : start + CHUNK]
