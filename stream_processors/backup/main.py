"""The process that exports: reads ``backups`` as a member of a group, commits what is done."""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Mapping

import msgspec
import structlog
from aiokafka import TopicPartition

from producers.cancelling import cancel
from producers.kafka.consumer import Fetched, LogConsumer
from producers.kafka.message import Message
from producers.kafka.publisher import Publisher
from producers.writes import Target
from schemas import topics
from schemas.backups import Request
from schemas.dead_letters import DeadLetter, Reason, Stage
from schemas.settings import Settings, SettingsError
from stream_processors import groups
from stream_processors.backup.exporter import Exporter
from stream_processors.backup.places import Place, open_places
from stream_processors.backup.store import UNAVAILABLE, Store
from stream_processors.starting import connected, stop_asked

log = structlog.get_logger()

_POLL_SECONDS = 0.2
_POLL_RECORDS = 100
#: Requests that may wait here; more of them wait at the broker.
_MOST_WAITING = 1000
#: Seconds between two looks at sessions that were open when they were exported, and at most so many at once.
_LOOK_SECONDS, _MOST_UNDONE = 10.0, 1000
#: Seconds that reads may take to show that one of them was finished.
_SETTLED_SECONDS = 60.0

_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


def run_backup(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; 0 then. 1 after a failure that waiting does not mend, or for wrong settings."""
    try:
        return asyncio.run(_run(settings))
    except SettingsError as error:
        print(f"sojourn backup: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
        return 1


async def _run(settings: Settings) -> int:
    stop = stop_asked()
    places = open_places(settings.backup)
    publisher = Publisher(settings.kafka, client=groups.BACKUP)
    store = Store(settings.clickhouse)
    backups = Backups(settings, publisher, store, places)
    work = asyncio.create_task(backups.run(stop))
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            log.error("the backups ended", exc_info=work.exception())
            return 1
        return 0
    finally:
        asked.cancel()
        await cancel(work)
        await backups.close()
        for place in places.values():
            await place.close()


class Backups:
    """Takes requests one after the other, and between them looks for backups that are not finished."""

    def __init__(self, settings: Settings, publisher: Publisher, store: Store, places: Mapping[str, Place]) -> None:
        self._consumer = LogConsumer(settings.kafka, client=groups.BACKUP)
        self._publisher = publisher
        self._store = store
        self._places = places
        self._exporter = Exporter(publisher, store, places)
        self._waiting: deque[tuple[TopicPartition, int, Request | None]] = deque()
        self._work: asyncio.Task[None] | None = None
        self._next_look = 0.0
        #: When a backup that was not finished was taken up again.
        self._begun: dict[tuple[str, Target], float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until cancelled. Raises what cannot be waited out: the process ends then, and is started again."""
        if not await connected(self._publisher, stop):
            return
        await self._consumer.join(groups.BACKUP, [topics.BACKUPS], self._revoked)
        while True:
            poll = await self._consumer.poll(_POLL_SECONDS, _POLL_RECORDS)
            for one in poll.assigned:
                self._next_look = 0.0
                self._consumer.begin(one.partition, one.offset)
            for fetched in poll.fetched:
                await self._take(fetched)
            await self._turn()

    async def close(self) -> None:
        """Leave the group; what was begun and not committed is begun again by whoever comes."""
        await self._revoked(frozenset())
        try:
            async with asyncio.timeout(3):
                await self._consumer.stop()
                await self._publisher.stop()
        except TimeoutError:
            log.warning("Kafka did not answer in time")
        self._store.close()

    async def _take(self, fetched: Fetched) -> None:
        """Every request is marked at once, however many exports are before it."""
        for record in fetched.records:
            request: Request | None = None
            try:
                request = _decode(record.value or b"")
            except msgspec.DecodeError as error:
                await self._refuse(fetched.partition, fetched.epoch, record, str(error))
            else:
                await self._exporter.begin(request)
            self._waiting.append((fetched.partition, record.offset, request))
        if len(self._waiting) >= _MOST_WAITING:
            self._consumer.pause(fetched.partition)

    async def _turn(self) -> None:
        if self._work is not None:
            if not self._work.done():
                return
            work, self._work = self._work, None
            work.result()
        if self._waiting:
            self._work = asyncio.create_task(self._handle(*self._waiting[0]))
        elif self._consumer.assignment and time.monotonic() >= self._next_look:
            self._work = asyncio.create_task(self._look())

    async def _handle(self, partition: TopicPartition, offset: int, request: Request | None) -> None:
        if request is not None:
            await self._exporter.handle(request)
        await self._consumer.commit({partition: offset + 1})
        self._waiting.popleft()
        if len(self._waiting) < _MOST_WAITING:
            self._consumer.resume(partition)

    async def _refuse(self, partition: TopicPartition, epoch: str, message: Message, why: str) -> None:
        letter = DeadLetter(
            stage=Stage.BACKUP,
            reason=Reason.WRONG_TYPE,
            expected=f"a request for a backup: {why}",
            topic=partition.topic,
            partition=partition.partition,
            offset=message.offset,
            epoch=epoch,
            time=message.timestamp * 1000,
            key=message.key,
            value=message.value,
            headers=list(message.headers),
        )
        future = await self._publisher.send(topics.DEAD_LETTERS, letter.message_key(), _encode(letter), partition=0)
        await future

    async def _look(self) -> None:
        for place in self._places:
            try:
                undone = await asyncio.to_thread(self._store.undone, place, _MOST_UNDONE)
            except UNAVAILABLE as error:
                log.warning("backups that are not finished cannot be asked for", error=repr(error))
                break
            for target in undone:
                if self._begun.get((place, target), 0.0) < time.monotonic() - _SETTLED_SECONDS:
                    self._begun[place, target] = time.monotonic()
                    await self._exporter.finish(target, place)
        self._begun = {
            name: began for name, began in self._begun.items() if began > time.monotonic() - _SETTLED_SECONDS
        }
        self._next_look = time.monotonic() + _LOOK_SECONDS

    async def _revoked(self, partitions: frozenset[TopicPartition]) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        self._waiting.clear()
