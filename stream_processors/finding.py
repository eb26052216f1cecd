"""Answers what session machines want to know of sessions that memory has forgotten (``lookups``).

ClickHouse is asked, overlaid by the tail of ``sessions`` that the sink has not stored yet: whatever was published
counts, however far behind the sink is.
"""

import asyncio
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError

from schemas.records import Session
from schemas.settings import Settings
from stream_processors.restore import Restorer
from stream_processors.sessionize import Sessions
from stream_processors.stored_sessions import UNAVAILABLE, sessions_of_keys

log = structlog.get_logger()

#: Keys asked about at once: one query and one look at the tail per round and partition.
_MOST_KEYS = 1000


class Finder:
    """Asks for all machines of a worker."""

    def __init__(self, settings: Settings, sessions: Sessions, restorer: Restorer) -> None:
        self._settings = settings
        self._sessions = sessions
        self._restorer = restorer

    async def look_up(self, partition: int, wanted: Callable[[], bool]) -> None:
        """Answer what the machine of one partition wants to know now; later again what could not be answered."""
        owned = self._sessions.owned[partition]
        keys = owned.machine.take_lookups(_MOST_KEYS)
        if not keys:
            return
        try:
            tail = await self._restorer.tail_of(partition)
            stored = await asyncio.to_thread(sessions_of_keys, self._settings, keys)
        except (KafkaError, TimeoutError, *UNAVAILABLE) as error:
            log.warning("forgotten sessions cannot be asked for, trying again", keys=len(keys), error=repr(error))
            owned.machine.give_back(keys)
            return
        if not wanted() or self._sessions.owned.get(partition) is not owned:
            return
        await self._sessions.resolve(partition, latest_of_keys(keys, stored, tail), wanted)


def latest_of_keys(
    keys: list[bytes], stored: list[Session], tail: dict[tuple[str, str], Session]
) -> dict[bytes, list[Session]]:
    """Per key its sessions in their latest versions, oldest first; an empty list where nothing is known."""
    latest = {(session.sensor, session.session_id): session for session in stored}
    asked = {key.decode() for key in keys}
    for name, session in tail.items():
        known = latest.get(name)
        if session.key in asked and not session.held and (known is None or known.revision <= session.revision):
            latest[name] = session
    found: dict[bytes, list[Session]] = {key: [] for key in keys}
    for session in sorted(latest.values(), key=lambda one: one.started_at or one.last_activity_at):
        found[session.key.encode()].append(session)
    return found
