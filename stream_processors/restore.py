"""What a worker does when partitions are assigned, before any record flows: epochs, then the state of its machines.

State comes back from ClickHouse, overlaid by the tail of ``sessions`` that the sink has not stored yet; then
``connections`` is read from the committed offset, and the machine takes what it had applied before as repeated.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from producers.kafka.epochs import TopicsError, epochs_of
from producers.kafka.history import read_history
from schemas import topics
from schemas.records import EndReason, Session
from schemas.settings import Settings
from schemas.times import SECOND
from stream_processors import groups
from stream_processors.intake import Intake
from stream_processors.machine.amending import is_replaced
from stream_processors.machine.endings import EVIDENCE
from stream_processors.machine.forgotten import MOST, Forgotten
from stream_processors.machine.limits import Limits, limits_of
from stream_processors.machine.sessionizer import Sessionizer
from stream_processors.machine.stored_session import StoredSession
from stream_processors.sessionize import Owned, Sessions
from stream_processors.stored_sessions import UNAVAILABLE, ended_keys, stored_sessions
from stream_processors.tail import Tail, read_tails

log = structlog.get_logger()

_LONGEST_PAUSE = 5.0
#: How far before the first record that will be read again closed sessions are taken back, too: workers' clocks differ,
#: and one source topic may lag behind another.
_MARGIN = 60 * SECOND
_NEVER = (0, 0)
_decode = msgspec.json.Decoder(Session).decode


def read_topics() -> set[str]:
    """What the worker reads, and ``sessions``, whose offsets it compares."""
    return {topic.name for topic in topics.sensor_topics()} | {topics.CONNECTIONS, topics.SESSIONS}


Machines = Mapping[int, Sessionizer]


def take_back(
    machines: Machines, stored: Iterable[tuple[StoredSession, bytes]], tails: Mapping[int, Tail], since: int
) -> None:
    """Give each machine (by partition) the latest version of each session that a later record may still change, or that
    changed after ``since``. ``tails`` lose what ``stored`` knows better."""
    seen: dict[int, dict[str, tuple[int, int]]] = {partition: {} for partition in machines}
    others: dict[int, list[Session]] = {partition: [] for partition in machines}
    for one, value in stored:
        partition = one.partition
        tail = tails[partition]
        if tail:
            name = (one.sensor, one.session_id)
            newer = tail.get(name)
            if newer is not None:
                if newer.revision > one.revision:
                    continue
                del tail[name]
        time, seen_at = seen[partition].get(one.sensor, _NEVER)
        if one.last_activity_at > time or one.modified_at > seen_at:
            seen[partition][one.sensor] = (max(time, one.last_activity_at), max(seen_at, one.modified_at))
        if not machines[partition].restore_stored(one, value):
            others[partition].append(_decode(value))
    for partition, machine in machines.items():
        for sensor, (time, seen_at) in seen[partition].items():
            machine.seed(sensor, time, seen_at)
        machine.restore([*others[partition], *(one for one in tails[partition].values() if _matters(one, since))])


def _matters(session: Session, since: int) -> bool:
    """Whether a later record may still change this session, or it changed after ``since``."""
    if is_replaced(session):
        return False
    return session.end_reason not in EVIDENCE or session.modified_at >= since or _is_paired(session)


def _is_paired(session: Session) -> bool:
    """Whether its key has no id of the sensor's own: the next record's meaning depends on this session."""
    return session.end_reason is not EndReason.COMPLETE and len(msgspec.json.decode(session.key)) != 2


class Restorer:
    """Prepares a worker for what it was assigned."""

    def __init__(self, settings: Settings, intake: Intake, sessions: Sessions) -> None:
        self._settings = settings
        self._intake = intake
        self._sessions = sessions
        self._forgotten = Forgotten()
        self._recalled = False
        #: What keeps the worker from processing, for the heartbeat; empty when nothing does.
        self.waiting_for = ""

    async def prepare(self, partitions: set[int], generation: int, wanted: Callable[[], bool]) -> None:
        """Make a machine for each of these partitions of ``connections``; keep those that are still valid.

        Waits while Kafka or ClickHouse is away; gives up silently when the assignment is not ``wanted`` any more.
        """
        sessions, settings = self._sessions, self._settings
        failures = 0
        # A machine of the generation just before is still valid: nobody else can have read on meanwhile.
        valid = {generation - 1}
        while wanted():
            try:
                epochs = await epochs_of(settings.kafka, read_topics())
                if self._intake.epochs and epochs != self._intake.epochs:
                    log.warning("topics have new epochs, state is restored")
                    sessions.owned.clear()
                self._intake.epochs = epochs
                kept = sessions.keep(partitions, valid)
                for partition in kept:
                    sessions.owned[partition].generation = generation
                # Should this attempt fail: what it has restored by then is valid, too.
                valid = {generation}
                await self._restore(partitions - kept, len(partitions), generation)
            except (KafkaError, TopicsError, TimeoutError, *UNAVAILABLE) as error:
                failures += 1
                pause = min(_LONGEST_PAUSE, 0.1 * 2**failures)
                self.waiting_for = f"state cannot be restored: {error or type(error).__name__}"
                log.warning("state cannot be restored, trying again", error=repr(error), pause=pause)
                await asyncio.sleep(pause)
            else:
                self.waiting_for = ""
                self._intake.starts = sessions.starts()
                return

    async def _restore(self, partitions: set[int], assigned: int, generation: int) -> None:
        if not partitions:
            return
        settings = self._settings
        limits = limits_of(settings.sessions, assigned)
        # The order matters: what the sink commits after this is in both, what it committed before is in ClickHouse.
        tails = await read_tails(settings.kafka, await self.not_stored_from(partitions))
        since = await self._first_time(partitions) - _MARGIN
        machines = {partition: Sessionizer(limits, True, self._forgotten) for partition in partitions}
        unsettled = sum(map(len, tails.values()))
        await asyncio.to_thread(self._take_back, machines, limits, tails, since)
        for partition, machine in machines.items():
            self._sessions.owned[partition] = Owned(machine, generation)
        if not self._recalled:
            self._recalled = True
            # Not by the loop's threads: those are waited for when the worker ends, and ClickHouse may stand still.
            threading.Thread(target=self._recall, name="recall", daemon=True).start()
        restored = sum(map(len, machines.values()))
        log.info("state restored", partitions=sorted(partitions), sessions=restored, not_stored_yet=unsettled)

    def _recall(self) -> None:
        """Know the keys of what ended before this worker came. Beside its work: only a record of one of them would
        have to wait for it, and those are rare."""
        try:
            for keys in ended_keys(self._settings, MOST):
                self._forgotten.add(keys)
        except UNAVAILABLE as error:
            log.warning(
                "keys of ended sessions are not known; a second connect of one of them opens anew", error=repr(error)
            )

    def _take_back(self, machines: Machines, limits: Limits, tails: Mapping[int, Tail], since: int) -> None:
        take_back(machines, stored_sessions(self._settings, limits, machines.keys(), since), tails, since)

    async def not_stored_from(self, partitions: Iterable[int]) -> dict[TopicPartition, int]:
        """Where the sink goes on in these partitions of ``sessions``. Raises KafkaError.

        Ask this, then ClickHouse, then the tail from there: what the sink stores meanwhile is in both.
        """
        places = [TopicPartition(topics.SESSIONS, partition) for partition in sorted(partitions)]
        return await self.committed(groups.SINK, topics.SESSIONS, places)

    async def _first_time(self, partitions: set[int]) -> int:
        """Broker time (microseconds UTC) of the earliest record of ``connections`` that will be read, else now."""
        places = [TopicPartition(topics.CONNECTIONS, partition) for partition in sorted(partitions)]
        offsets = await self.committed(groups.WORKER, topics.CONNECTIONS, places)
        return min(await asyncio.gather(*(self._time_at(place, offset) for place, offset in offsets.items())))

    async def _time_at(self, place: TopicPartition, offset: int) -> int:
        async with aclosing(read_history(self._settings.kafka, {place: offset})) as history:
            async for _, records in history:
                return records[0].timestamp * 1000
        return time.time_ns() // 1000

    async def committed(self, group: str, topic: str, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Where a group goes on in this epoch of a topic; 0 where it has committed nothing."""
        epoch = self._intake.epochs[topic]
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.kafka.bootstrap, client_id=groups.WORKER)
        try:
            await admin.start()
            committed = await admin.list_consumer_group_offsets(group, partitions=places)
        finally:
            await admin.close()
        starts = {}
        for place in places:
            known = committed.get(place)
            # The embedded broker keeps no metadata: an empty text proves nothing against the offset.
            usable = known is not None and known.offset >= 0 and known.metadata in ("", None, epoch)
            starts[place] = known.offset if usable else 0
        return starts
