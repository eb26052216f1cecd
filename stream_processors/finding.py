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
from stream_processors.restore import Restorer
from stream_processors.sessionize import Owned, Sessions
from stream_processors.stored_sessions import UNAVAILABLE, sessions_of_keys, sessions_of_writes
from stream_processors.writes import Write

log = structlog.get_logger()

#: Keys asked about at once: one query and one look at the tail per round and partition.
_MOST_KEYS = 1000
#: Seconds between two such rounds: one for many keys costs little more than one for a single key.
_KEYS_INTERVAL = 0.5
#: Records of APIs answered at once.
_MOST_WRITES = 100


class Finder:
    """Asks for all machines of a worker."""

    def __init__(self, settings: Settings, sessions: Sessions, restorer: Restorer) -> None:
        self._settings = settings
        self._sessions = sessions
        self._restorer = restorer
        self._asked_at: dict[int, float] = {}

    async def look_up(self, partition: int, wanted: Callable[[], bool]) -> None:
        """Answer what the machine of one partition wants to know now; later again what could not be answered."""
        owned = self._sessions.owned[partition]
        now = time.monotonic()
        is_time = now - self._asked_at.get(partition, 0.0) >= _KEYS_INTERVAL
        keys = owned.machine.take_lookups(_MOST_KEYS) if is_time else []
        if keys:
            self._asked_at[partition] = now
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
            _give_back(owned, keys, writes)
            return
        if not wanted() or self._sessions.owned.get(partition) is not owned:
            # The machine may be kept over the rebalance, and would never ask again.
            _give_back(owned, keys, writes)
            return
        await self._sessions.resolve(partition, found, answers, wanted)

    async def _of_keys(self, partition: int, keys: list[bytes]) -> dict[bytes, list[Session]]:
        tail = await self._restorer.tail_of(partition)
        stored = await asyncio.to_thread(sessions_of_keys, self._settings, keys)
        return latest_of_keys(keys, stored, tail)

    async def _of_writes(self, writes: list[Write]) -> list[tuple[Write, list[Session]]]:
        macs = {normal_mac(write.record.mac) for write in writes if not write.record.session_id}
        named = [(write.record.sensor, write.record.session_id) for write in writes if write.record.session_id]
        tail = await self._restorer.whole_tail()
        stored = await asyncio.to_thread(lambda: list(sessions_of_writes(self._settings, sorted(macs), named)))
        return latest_of_writes(writes, stored, tail)


def _give_back(owned: Owned, keys: list[bytes], writes: list[Write]) -> None:
    owned.machine.give_back(keys)
    owned.machine.give_back_writes(writes)


def latest_of_keys(
    keys: list[bytes], stored: list[Session], tail: dict[tuple[str, str], Session]
) -> dict[bytes, list[Session]]:
    """Per key its sessions in their latest versions, oldest first; an empty list where nothing is known."""
    asked = {key.decode() for key in keys}
    latest = _latest(stored, tail, lambda session: session.key in asked)
    found: dict[bytes, list[Session]] = {key: [] for key in keys}
    for session in sorted(latest, key=lambda one: one.started_at or one.last_activity_at):
        found[session.key.encode()].append(session)
    return found


def latest_of_writes(
    writes: list[Write], stored: list[Session], tail: dict[tuple[str, str], Session]
) -> list[tuple[Write, list[Session]]]:
    """Each record of an API with the sessions it may change, removed ones too, in their latest versions."""
    macs = {normal_mac(write.record.mac) for write in writes if not write.record.session_id}
    named = {(write.record.sensor, write.record.session_id) for write in writes}
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


def _latest(
    stored: list[Session], tail: dict[tuple[str, str], Session], is_wanted: Callable[[Session], bool]
) -> Iterable[Session]:
    latest = {(session.sensor, session.session_id): session for session in stored}
    for name, session in tail.items():
        known = latest.get(name)
        if not session.held and is_wanted(session) and (known is None or known.revision <= session.revision):
            latest[name] = session
    return latest.values()
