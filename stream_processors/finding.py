"""Answers what session machines want to know of sessions that memory has forgotten (``lookups``).

ClickHouse is asked, overlaid by the tail of ``sessions`` that the sink has not stored yet: whatever was published
counts, however far behind the sink is.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog
from aiokafka.errors import KafkaError

from schemas.records import Session, normal_mac
from schemas.settings import Settings
from stream_processors.machine.writes import Write
from stream_processors.restore import Restorer
from stream_processors.sessionize import Owned, Sessions
from stream_processors.stored_sessions import UNAVAILABLE, sessions_of_keys, sessions_of_writes
from stream_processors.tail import Tail, read_tails

log = structlog.get_logger()

#: Keys asked about at once: one look at the tail per round and partition, which is what a round costs.
_MOST_KEYS = 20_000
#: Seconds between two such rounds: one for many keys costs little more than one for a single key.
_KEYS_INTERVAL = 0.5
#: A tenth of the time at most goes into reading the tail: the further the sink is behind, the longer it is.
_TIMES_ITS_LENGTH = 10
#: Records of APIs answered at once.
_MOST_WRITES = 100


class Finder:
    """Asks for all machines of a worker."""

    def __init__(self, settings: Settings, sessions: Sessions, restorer: Restorer) -> None:
        self._settings = settings
        self._sessions = sessions
        self._restorer = restorer
        #: Partition → when its next round of keys may come.
        self._next: dict[int, float] = {}

    async def look_up(self, partition: int, wanted: Callable[[], bool]) -> None:
        """Answer what the machine of one partition wants to know now; later again what could not be answered."""
        owned = self._sessions.owned[partition]
        is_time = time.monotonic() >= self._next.get(partition, 0.0)
        keys = owned.machine.take_lookups(_MOST_KEYS) if is_time else []
        writes = owned.machine.take_writes(_MOST_WRITES)
        if not keys and not writes:
            return
        try:
            found = await self._of_keys(partition, keys) if keys else {}
            # What an API saw was published; what was applied since then may not be.
            await self._sessions.delivered(partition, wanted)
            answers = await self._of_writes(writes) if writes else []
        except (KafkaError, TimeoutError, *UNAVAILABLE) as error:
            log.warning("forgotten sessions cannot be asked for, trying again", keys=len(keys), error=repr(error))
            self._next[partition] = time.monotonic() + _KEYS_INTERVAL
            _give_back(owned, keys, writes)
            return
        if not wanted() or self._sessions.owned.get(partition) is not owned:
            # The machine may be kept over the rebalance, and would never ask again.
            _give_back(owned, keys, writes)
            return
        await self._sessions.resolve(partition, found, answers, wanted)

    async def _of_keys(self, partition: int, keys: list[bytes]) -> dict[bytes, list[Session]]:
        starts = await self._restorer.not_stored_from([partition])
        # Before the tail: while ClickHouse is away that grows, and would be read for nothing.
        stored = await asyncio.to_thread(sessions_of_keys, self._settings, keys)
        asked = {key.decode() for key in keys}
        began = time.monotonic()
        tails = await read_tails(self._settings.kafka, starts, lambda one: one.key in asked)
        now = time.monotonic()
        self._next[partition] = now + max(_KEYS_INTERVAL, _TIMES_ITS_LENGTH * (now - began))
        return latest_of_keys(keys, stored, tails[partition])

    async def _of_writes(self, writes: list[Write]) -> list[tuple[Write, list[Session]]]:
        macs, named = _asked_by(writes)
        # A device's sessions may be in any partition.
        starts = await self._restorer.not_stored_from(range(self._settings.kafka.partitions))
        stored = await asyncio.to_thread(lambda: list(sessions_of_writes(self._settings, sorted(macs), sorted(named))))
        tails = await read_tails(
            self._settings.kafka,
            starts,
            lambda one: (one.sensor, one.session_id) in named or (bool(one.mac) and normal_mac(one.mac) in macs),
        )
        latest: Tail = {}
        for tail in tails.values():
            for name, session in tail.items():
                known = latest.get(name)
                if known is None or known.revision <= session.revision:
                    latest[name] = session
        return latest_of_writes(writes, stored, latest)


def _asked_by(writes: list[Write]) -> tuple[set[str], set[tuple[str, str]]]:
    """The devices and the sessions (sensor, id) that records of APIs are about."""
    records = [write.record for write in writes]
    return (
        {normal_mac(record.mac) for record in records if not record.session_id},
        {(record.sensor, record.session_id) for record in records if record.session_id},
    )


def _give_back(owned: Owned, keys: list[bytes], writes: list[Write]) -> None:
    owned.machine.give_back(keys)
    owned.machine.give_back_writes(writes)


def latest_of_keys(keys: list[bytes], stored: list[Session], tail: Tail) -> dict[bytes, list[Session]]:
    """Per key its sessions in their latest versions, oldest first; an empty list where nothing is known."""
    asked = {key.decode() for key in keys}
    latest = _latest(stored, tail, lambda session: session.key in asked)
    found: dict[bytes, list[Session]] = {key: [] for key in keys}
    for session in sorted(latest, key=lambda one: one.started_at or one.last_activity_at):
        found[session.key.encode()].append(session)
    return found


def latest_of_writes(writes: list[Write], stored: list[Session], tail: Tail) -> list[tuple[Write, list[Session]]]:
    """Each record of an API with the sessions it may change, removed ones too, in their latest versions."""
    macs, named = _asked_by(writes)
    latest = _latest(
        stored,
        tail,
        lambda session: (session.sensor, session.session_id) in named or normal_mac(session.mac) in macs,
    )
    by_mac: dict[str, list[Session]] = {}
    for session in latest:
        by_mac.setdefault(normal_mac(session.mac), []).append(session)
    by_name = {(session.sensor, session.session_id): session for session in latest}
    answers = []
    for write in writes:
        record = write.record
        if record.session_id:
            one = by_name.get((record.sensor, record.session_id))
            answers.append((write, [] if one is None else [one]))
        else:
            answers.append((write, by_mac.get(normal_mac(record.mac), [])))
    return answers


def _latest(stored: list[Session], tail: Tail, is_wanted: Callable[[Session], bool]) -> Iterable[Session]:
    latest = {(session.sensor, session.session_id): session for session in stored}
    for name, session in tail.items():
        known = latest.get(name)
        if not session.held and is_wanted(session) and (known is None or known.revision <= session.revision):
            latest[name] = session
    return latest.values()
