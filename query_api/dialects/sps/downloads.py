"""The records of a session as a download, and who downloaded them (sps-facts 1.9).

The file has a JSON object in each line, an event in the form that ``sojourn produce --format sojourn.event`` reads.
Every download is an event of the sensor ``sojourn``, acknowledged by Kafka before the first byte is sent.
"""

import re
import time
from collections.abc import AsyncIterator

import msgspec
import structlog
from aiohttp import web

from producers.writes import Write
from query_api import sql
from query_api.answers import write
from query_api.auth.principal import principal_of
from query_api.dialects.sps import answers, links, request
from query_api.dialects.sps.fields import moment
from query_api.dialects.sps.found import Found, events_of, find
from query_api.dialects.sps.paths import session_path
from query_api.errors import ApiError, NotFoundError
from query_api.filters import Filter
from query_api.keys import CONNECTION, reader_of
from query_api.listing import Listing, read_rows, together
from query_api.paging import Slice
from query_api.reader import Reader
from query_api.shapes import Member, Shape, json_object
from query_api.sources import EVENTS
from query_api.writes import WRITES
from schemas import topics
from schemas.times import rfc3339

log = structlog.get_logger()

#: What this API reports as a sensor, and the kind of these reports.
SENSOR, KIND = "sojourn", "trail_download"

_TEXTS = (
    *("session_id", "token", "location", "category", "protocol", "client_ip", "server_ip", "mac", "user", "data"),
    *("content", "action", "channel_id", "container_id", "record_id"),
)
_OLDEST_FIRST = "time ASC, _epoch ASC, _topic ASC, _partition ASC, _offset ASC, _index ASC"


class _Lines(Shape, frozen=True):
    """A row to a line."""

    @property
    def settings(self) -> dict[str, str]:
        return {**super().settings, "format_template_rows_between_delimiter": "\n"}


_RECORD = _Lines(
    (
        Member("sensor", "sensor"),
        Member("time", moment("time", "Z")),
        Member("kind", "kind"),
        Member("type", "nullIf(type, 0)", sparse=True),
        Member("started", moment("started", "Z"), sparse=True),
        Member("ended", moment("ended", "Z"), sparse=True),
        Member("client_port", "nullIf(client_port, 0)", sparse=True),
        Member("server_port", "nullIf(server_port, 0)", sparse=True),
        *(Member(name, f"nullIf({name}, '')", sparse=True) for name in _TEXTS),
        Member("details", json_object("details"), raw=True),
    )
)
_DOWNLOAD = Shape(
    (
        Member("from_api", "toBool(1)"),
        Member("ip_address", "JSONExtractString(details, 'ip_address')"),
        Member("time", moment("time", "Z")),
        Member("username", "user"),
    )
)


async def audit_trail(http: web.Request) -> web.StreamResponse:
    """GET …/audit_trail."""
    session = await find(http)
    if not session.event_count:
        raise NotFoundError("this session has no audit trail")
    await http.app[WRITES].publish([_record_of(http, session)])
    oldest_first = msgspec.structs.replace(EVENTS, by=_OLDEST_FIRST)
    statement = sql.rows(oldest_first, events_of(session), _RECORD)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", session.session_id)
    response = web.StreamResponse(
        headers={
            **answers.HEADERS,
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{name}.jsonl"',
        }
    )
    async with reader_of(http).stream(statement) as chunks:
        await response.prepare(http)
        await _send(http, response, chunks)
    return response


async def _send(http: web.Request, response: web.StreamResponse, chunks: AsyncIterator[bytes]) -> None:
    """A file that ends properly is whole: where reading fails the connection is broken off."""
    try:
        async for chunk in chunks:
            await write(response, chunk)
    except ApiError as error:
        log.error("download broken off", path=http.path, error=error.message)
        if http.transport is not None:
            http.transport.abort()
        raise
    await response.write_eof(b"\n")


async def trail_downloads(http: web.Request) -> web.Response:
    """GET …/trail_downloads, newest first."""
    session = await find(http)
    window = request.window(request.parameters(http, ("limit", "offset")), request.LARGEST_PART)
    chosen = Filter(
        "sensor = {api:String} AND kind = {kind:String} AND data = {id:String}"
        " AND JSONExtractString(details, 'sensor') = {sensor:String}",
        {"api": SENSOR, "kind": KIND, "id": session.session_id, "sensor": session.sensor},
    )
    # Whoever may see the session may see its downloads: that the reports have a sensor of their own hides nothing.
    reader = Reader(http.app[CONNECTION], None)
    listing = Listing(source=EVENTS, shape=_DOWNLOAD, filter=chosen)
    count, rows = await together(
        reader.number(sql.count(EVENTS, chosen)), read_rows(reader, listing, Slice(window.limit, window.offset))
    )
    parent = session_path(session.session_id)
    meta = links.list_meta(f"{parent}/trail_downloads", parent, window, count, {})
    return answers.list_response(rows, {**meta, "match_count": count})


def _record_of(http: web.Request, session: Found) -> Write:
    """The download as an event. It names the session in details and data only: it is no activity of it."""
    details = {
        "sensor": session.sensor,
        "session_id": session.session_id,
        "ip_address": http.remote or "",
        "from_api": True,
    }
    event = {
        "sensor": SENSOR,
        "time": rfc3339(time.time_ns() // 1000),
        "kind": KIND,
        "user": principal_of(http).name,
        "data": session.session_id,
        "details": details,
    }
    return Write(SENSOR.encode(), msgspec.json.encode(event), topics.EVENTS)
