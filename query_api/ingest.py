"""``POST /ingest/<format>``: the way in for sensors that cannot speak Kafka (docs/formats: over HTTP).

Answered when Kafka has acknowledged every line that was not refused. Lines go where `sojourn produce` would send them,
with ids by which the same body sent again changes nothing (query_api.ingest_lines).
"""

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import structlog
from aiohttp import web

from producers.destination import FORMATS
from producers.inputs.files import UnreadableFileError
from producers.inputs.lines import Line, LineSplitter
from producers.inputs.tables import converted, table_of
from query_api.auth.principal import principal_of
from query_api.documents import shown
from query_api.errors import BadRequestError, NotFoundError, TooLargeError
from query_api.ingest_lines import Batch, IngestRefused
from query_api.keys import SETTINGS
from query_api.openapi.doors import Door
from query_api.owners import media_types
from query_api.writes import KEY_DESCRIBED, KEY_HEADER, Writes, idempotency_key
from schemas.settings import Settings

if TYPE_CHECKING:
    # The API listens before the Kafka client is loaded.
    from producers.kafka.publisher import Publisher

log = structlog.get_logger()

#: A connection to Kafka of its own: a slow batch must not end the changes of others.
INGEST = web.AppKey("ingest", Writes)

#: Lines that are decoded before others get their turn.
_TOGETHER = 500


class IngestQuery(msgspec.Struct, frozen=True):
    """There are no parameters; one that was sent is refused, as whoever sent it meant something."""


class IngestAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a body: ``lines`` (blank ones not counted) are those published and those refused."""

    lines: int
    published: int
    refused: list[IngestRefused]


class IngestFailure(IngestAnswer, frozen=True, kw_only=True):
    """The same where every line was refused; ``error`` and ``field`` are of the first."""

    error: str
    field: str


async def ingest(request: web.Request) -> web.Response:
    name = request.match_info["format"]
    if name not in FORMATS:
        raise NotFoundError(f"there is no format {shown(name)}; there are {', '.join(FORMATS)}", field="format")
    settings = request.app[SETTINGS]
    key = idempotency_key(request)
    lines = _lines(await request.read(), name, settings)
    batch = Batch(name, principal_of(request), key, settings.kafka.max_message_bytes)
    for number, line in enumerate(lines, 1):
        batch.take(line)
        if number % _TOGETHER == 0:
            await asyncio.sleep(0)
    if not batch.lines:
        raise BadRequestError("the body has no line")
    if batch.refused:
        log.info("lines refused", format=name, by=principal_of(request).name, count=len(batch.refused))
    if not batch.messages:
        return _failure(batch)
    await _publish(request.app[INGEST], batch)
    return _json(IngestAnswer(lines=batch.lines, published=len(batch.messages), refused=batch.refused))


def _lines(body: bytes, name: str, settings: Settings) -> list[Line]:
    """The body cut into lines, those of a table as the JSON they stand for. Raises ApiError."""
    most = settings.http.ingest_lines
    if body.count(b"\n") > most or (body.count(b"\n") == most and not body.endswith(b"\n")):
        raise TooLargeError(f"the body has more than {most} lines")
    splitter = LineSplitter(settings.kafka.max_message_bytes)
    lines = [*splitter.feed(body), *splitter.end()]
    table = table_of(name, settings)
    try:
        return lines if table is None else converted(lines, table())
    except UnreadableFileError as error:
        raise BadRequestError(str(error)) from None


async def _publish(way: Writes, batch: Batch) -> None:
    """Raises UnavailableError: then nobody knows what Kafka has, and the same body may be sent again."""

    async def queue(publisher: "Publisher") -> list[asyncio.Future[Any]]:
        return await publisher.send_all(batch.messages)

    await way.acknowledged(queue, "Kafka did not acknowledge all lines; the same body may be sent again, none doubles")
    # The word may have come meanwhile, too late for the drain of what was just acknowledged.
    way.check_open()


def _failure(batch: Batch) -> web.Response:
    first = batch.refused[0]
    what = f": {first.field}" if first.field else ""
    error = f"no line can be published; line {first.line} is refused, {first.reason}{what}"
    failure = IngestFailure(
        lines=batch.lines,
        published=0,
        refused=batch.refused,
        error=f"{error}; expected was {first.expected}" if first.expected else error,
        field=first.field,
    )
    return _json(failure, 400)


def _json(value: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value) + b"\n", status=status, content_type="application/json")


_TEXT = f"""\
Each line is decoded, and published as it stands when it can be; one that cannot be is named in the answer with its
number, the field and what was expected, and not published. The answer comes when Kafka has acknowledged the others: 200
when there were any, 400 in the same form when all were refused.

The same body sent again changes nothing. A line that was sent before by this sensor, in whichever body, is the same
line; within one body equal lines are different ones. Whose sensor sends equal lines that are not the same gives each
body a name of its own in the header `{KEY_HEADER}`: then a line is known by that name, its number and its text.
"""

DOORS = (
    Door(
        method="POST",
        path="/ingest/{format}",
        handler=ingest,
        summary="Hand in lines of a format",
        text=_TEXT,
        query=IngestQuery,
        variables={"format": Literal[FORMATS]},
        headers=KEY_DESCRIBED,
        takes=dict.fromkeys(media_types("/ingest"), "Lines, as the format has them"),
        answer=IngestAnswer,
        refusal=IngestFailure,
    ),
)
