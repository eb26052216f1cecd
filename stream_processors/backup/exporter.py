"""What becomes of one request: the session is marked, then exported, then marked as done.

Every step may be repeated after a crash: a mark is an amendment with an id of its own, which is applied once, and an
export puts the same files in place of the same files. The offset of a request is committed after its last step.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping

import msgspec
import structlog
from aiokafka.errors import KafkaError

from producers import writes
from producers.kafka.publisher import Publisher
from producers.writes import Target
from schemas.backups import PREFIX, Mark, Request, State
from schemas.records import Amendment
from schemas.times import rfc3339
from stream_processors.backoff import Backoff
from stream_processors.backup.export import Exported, export
from stream_processors.backup.places import Place, PlaceError
from stream_processors.backup.store import UNAVAILABLE, Seen, Store

log = structlog.get_logger()

#: Times that a place is tried before the backup is given up.
_TRIES = 4
#: Seconds that an export waits for events that the session has counted and that are not stored yet.
_EVENTS_WAIT = 20.0

_encode = msgspec.json.Encoder().encode


class Exporter:
    """One request at a time."""

    def __init__(self, publisher: Publisher, store: Store, places: Mapping[str, Place]) -> None:
        self._publisher = publisher
        self._store = store
        self._places = places

    async def begin(self, request: Request) -> None:
        """Mark the session, so that everybody can read what was asked for. Waits for as long as Kafka is away."""
        await self._mark(_target_of(request), request.target, request.request_id, request.time, State.REQUESTED)

    async def handle(self, request: Request) -> None:
        """Returns when a request that was begun is done, or failed for good. Waits for Kafka and ClickHouse."""
        target = _target_of(request)
        seen = await self._marked(target, request.request_id)
        if seen is None:
            log.warning("a session to be exported is gone", sensor=target.sensor, session_id=target.session_id)
            return
        await self._export(target, request.target, seen, request.request_id)

    async def finish(self, target: Target, place: str) -> None:
        """Go on with a backup that was not finished."""
        seen = await self._asked(target, "")
        if seen is not None:
            await self._export(target, place, seen, str(uuid.uuid4()))

    async def _export(self, target: Target, place: str, seen: Seen, request_id: str) -> None:
        done = f"{request_id}/done"
        try:
            exported = await self._tried(target, place, seen)
        except PlaceError as error:
            log.error("a backup failed", target=place, session_id=target.session_id, error=str(error))
            await self._mark(target, place, done, _now(), State.FAILED, message=str(error)[:500])
            return
        state = State.PARTIAL if seen.is_open else State.DONE
        await self._mark(target, place, done, _now(), state, exported=exported)
        log.info("a session was exported", target=place, session_id=target.session_id, state=state)

    async def _tried(self, target: Target, place: str, seen: Seen) -> Exported:
        """Raises PlaceError when the place refuses to take it again and again."""
        if place not in self._places:
            raise PlaceError(f"there is no target {place} in the settings of this process")
        await self._events_stored(seen)
        backoff = Backoff()
        refused = 0
        while True:
            try:
                return await export(self._store, target, seen, self._places[place])
            except PlaceError as error:
                refused += 1
                if refused == _TRIES:
                    raise
                log.warning("an export was refused, trying again", target=place, error=str(error))
            except UNAVAILABLE as error:
                log.warning("a session cannot be read for its export, trying again", error=repr(error))
            await backoff.sleep()

    async def _events_stored(self, seen: Seen) -> None:
        """The session may have counted events that the sink stores a moment later; some are never stored."""
        deadline = time.monotonic() + _EVENTS_WAIT
        while time.monotonic() < deadline:
            try:
                if await asyncio.to_thread(self._store.stored_events, seen) >= seen.event_count:
                    return
            except UNAVAILABLE as error:
                log.warning("events cannot be counted, trying again", error=repr(error))
            await asyncio.sleep(0.1)

    async def _marked(self, target: Target, request_id: str) -> Seen | None:
        """The session once it carries the mark: then what was acknowledged before is stored, too."""
        backoff = Backoff()
        while True:
            seen = await self._asked(target, request_id)
            if seen is None or seen.marked:
                return seen
            await backoff.sleep()

    async def _asked(self, target: Target, request_id: str) -> Seen | None:
        backoff = Backoff()
        while True:
            try:
                return await asyncio.to_thread(self._store.seen, target, request_id)
            except UNAVAILABLE as error:
                log.warning("a session cannot be asked for, trying again", error=repr(error))
                await backoff.sleep()

    async def _mark(
        self,
        target: Target,
        place: str,
        record_id: str,
        at: int,
        state: State,
        *,
        message: str = "",
        exported: Exported | None = None,
    ) -> None:
        mark = Mark(
            state=state,
            at=rfc3339(at),
            message=message,
            files=exported.files if exported else [],
            events=exported.events if exported else None,
        )
        attributes = {PREFIX + place: _encode(mark).decode()}
        write = writes.amend(target, record_id, at, Amendment(), attributes)
        backoff = Backoff()
        while True:
            try:
                await (await self._publisher.send(write.topic, write.key, write.value))
            except KafkaError as error:
                log.warning("a mark was not taken, trying again", error=repr(error))
                await backoff.sleep()
            else:
                return


def _target_of(request: Request) -> Target:
    return Target(request.sensor, request.session_id, request.key)


def _now() -> int:
    return time.time_ns() // 1000
