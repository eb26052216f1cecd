"""Changes by an API: published to Kafka, then waited for until reads show them. Knows no dialect.

A request's id is the ``record_id`` of its record, and the row that was changed carries it (``producers.writes``). An
answer waits for that row: after ``http.write_seconds`` it says that the change is acknowledged and will appear. Where
Kafka does not acknowledge in that time, nothing that was not sent by then is sent later, and the answer is 503; whoever
asks again with the same ``Idempotency-Key`` asks for the same change, which is applied once (hard-questions: read
your writes).
"""

import asyncio
import contextlib
import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import structlog
from aiohttp import web
from msgspec import Meta

from producers.writes import Target, Write
from query_api.auth.principal import principal_of
from query_api.errors import BadRequestError, UnavailableError
from query_api.health import Health
from query_api.reader import Reader
from query_api.sql import Statement
from schemas.settings import Kafka

if TYPE_CHECKING:
    from producers.kafka.publisher import Publisher

log = structlog.get_logger()

#: Seconds before the first look, and the longest pause between two.
_FIRST_LOOK, _LONGEST_PAUSE = 0.02, 0.25

KEY_HEADER = "Idempotency-Key"
_KEY_LIMIT = 255
#: The header for the description of a door.
KEY_DESCRIBED: Mapping[str, Any] = {
    KEY_HEADER: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=_KEY_LIMIT,
            pattern="^[ -~]*$",
            description="What the client calls this request: the same again is made once",
        ),
    ]
}
_REQUESTS = uuid.UUID("6f0f2b0e-4f7a-5a7e-9a55-0d8a2c6f7c11")


class Change(msgspec.Struct, frozen=True):
    """Records in order, and how to see them: ``shown`` gives one number, which is not 0 once reads show all."""

    writes: tuple[Write, ...]
    shown: Statement


class Writes:
    """The application's way to Kafka. Connects with the first change, and again after Kafka was away."""

    def __init__(self, kafka: Kafka, health: Health, patience: float) -> None:
        """``patience``: seconds that Kafka has to acknowledge, and then reads to show a change."""
        self._kafka = kafka
        self._patience = patience
        self._health = health
        self._publisher: Publisher | None = None
        self._connecting = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()

    async def make(self, change: Change, reader: Reader, request: web.Request) -> bool:
        """Publish, then wait until ``reader`` sees it; False when that took too long: it will appear.

        Raises UnavailableError when Kafka did not acknowledge.
        """
        if KEY_HEADER in request.headers and await reader.number(change.shown):
            # The same request came before.
            return True
        await self.publish(change.writes)
        return await self.visible(reader, change.shown)

    async def publish(self, writes: Sequence[Write]) -> None:
        """Returns when Kafka has acknowledged all. Raises UnavailableError."""

        async def queue(publisher: "Publisher") -> list[asyncio.Future[Any]]:
            return [await publisher.send(write.topic, write.key, write.value) for write in writes]

        await self.acknowledged(
            queue, f"Kafka did not acknowledge the change; ask again, with the same {KEY_HEADER} to have it made once"
        )

    def check_open(self) -> None:
        """Raises UnavailableError while the embedded broker takes nothing new, because it is about to start anew."""
        refusal = self._health.refusal(time.time_ns() // 1000)
        if refusal:
            raise UnavailableError(refusal, retry_after=10)

    async def acknowledged(
        self, queue: Callable[["Publisher"], Awaitable[list[asyncio.Future[Any]]]], otherwise: str
    ) -> None:
        """Returns when Kafka has acknowledged all that ``queue`` queued. Raises UnavailableError, with ``otherwise``
        when it did not."""
        self.check_open()
        # Imported here and below: the API listens before the Kafka client is loaded.
        from aiokafka.errors import KafkaError

        publisher: Publisher | None = None
        try:
            async with asyncio.timeout(self._patience):
                publisher = await self._connected()
                await asyncio.gather(*await queue(publisher))
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("Kafka did not acknowledge", error=repr(error))
            if publisher is not None:
                self._abandon(publisher)
            raise UnavailableError(otherwise, retry_after=2) from error

    async def visible(self, reader: Reader, shown: Statement) -> bool:
        """Whether reads show it within the time an answer may take."""
        deadline = time.monotonic() + self._patience
        pause = _FIRST_LOOK
        while (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(_LONGEST_PAUSE, pause * 1.5)
            try:
                async with asyncio.timeout(self._patience):
                    if await reader.number(shown):
                        return True
            except (UnavailableError, TimeoutError) as error:
                # ClickHouse is away or busy; the change is acknowledged all the same.
                log.info("a change cannot be looked for at the moment", error=repr(error))
        return False

    async def close(self) -> None:
        if self._publisher is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._publisher.stop()
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def _connected(self) -> "Publisher":
        async with self._connecting:
            if self._publisher is None:
                from producers.kafka.publisher import Publisher

                # A request waits for each message: nothing is gained by waiting for company.
                publisher = Publisher(self._kafka, client="sojourn-api", linger_ms=0)
                await publisher.start()
                self._publisher = publisher
            return self._publisher

    def _abandon(self, publisher: "Publisher") -> None:
        """What it has not sent must not be sent after the answer said that it was not made."""
        if self._publisher is publisher:
            self._publisher = None
            task = asyncio.create_task(publisher.abandon())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)


WRITES = web.AppKey("writes", Writes)


def in_sessions(targets: Sequence[Target], ids: Sequence[str]) -> Statement:
    """Whether these sessions, removed ones too, carry all of these ids of records that amend or remove them."""
    return Statement(
        "SELECT uniqExact(arrayJoin(arrayIntersect(requests, {ids:Array(String)}))) = {wanted:UInt64}"
        " FROM sessions FINAL"
        " WHERE (sensor, session_id) IN arrayZip({sensors:Array(String)}, {sessions:Array(String)})",
        {
            "ids": list(ids),
            "wanted": len(set(ids)),
            "sensors": [target.sensor for target in targets],
            "sessions": [target.session_id for target in targets],
        },
    )


async def request_id(request: web.Request) -> str:
    """A new id, or the one that belongs to this ``Idempotency-Key``: of this client, for this very request.

    Raises BadRequestError when the key is empty, too long or not printable ASCII.
    """
    key = idempotency_key(request)
    if key is None:
        return str(uuid.uuid4())
    body = hashlib.sha256(await request.read()).hexdigest()
    name = [principal_of(request).name, request.method, request.raw_path, key, body]
    return str(uuid.uuid5(_REQUESTS, msgspec.json.encode(name).decode()))


def idempotency_key(request: web.Request) -> str | None:
    """What the client calls this request, if it does. Raises BadRequestError."""
    key = request.headers.get(KEY_HEADER)
    if key is not None and not (1 <= len(key) <= _KEY_LIMIT and key.isascii() and key.isprintable()):
        raise BadRequestError(f"{KEY_HEADER} must be 1 to {_KEY_LIMIT} printable characters of ASCII", field=KEY_HEADER)
    return key


def part_of(request_id: str, *names: str) -> str:
    """The id of one record of a request that makes several."""
    return str(uuid.uuid5(uuid.UUID(request_id), msgspec.json.encode(names).decode()))
