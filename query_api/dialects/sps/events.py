"""What was seen in a session: events, alerts, and what a search of its content finds."""

import msgspec
from aiohttp import web

from query_api import sql
from query_api.dialects.sps import answers, links, request
from query_api.dialects.sps.event_fields import ACTION, CONTENT, CONTENT_OF_EVENTS, EVENT, EXTRACTED, TYPE
from query_api.dialects.sps.fields import Catalogue, moment
from query_api.dialects.sps.found import Found, events_of, find
from query_api.dialects.sps.paths import session_path
from query_api.dialects.sps.query import query_filter
from query_api.dialects.sps.request import Parameters, Window
from query_api.errors import BadRequestError
from query_api.filters import Filter, Names
from query_api.keys import reader_of
from query_api.listing import Listing, read_rows, together
from query_api.paging import Slice
from query_api.shapes import Member, Shape
from query_api.sources import EVENTS
from query_api.sql import Source

#: Events are numbered in their order, whichever of them a list has; a sensor's own number stays.
_NUMBERED = (
    "SELECT *, toInt64(coalesce(toInt64OrNull(record_id), "
    "row_number() OVER (ORDER BY time, _epoch, _topic, _partition, _offset, _index))) AS number, "
    "if(channel_id = '', '0', toString(channel_id)) AS channel FROM events WHERE "
)

_TIME = moment("time")
_EVENT_SHAPE = Shape(
    (
        Member("action", ACTION),
        Member("channels_id", "channel"),
        Member("content", CONTENT),
        Member("record_id", "number"),
        Member("time", _TIME),
        Member("type", TYPE),
    )
)
#: One item for each rule that an event met (sps-facts 1.9).
_ALERT_SHAPE = Shape(
    (
        Member("alert_type", f"concat('adp.event.', {TYPE})"),
        Member("channel_id", "channel"),
        Member("matched_action", ACTION),
        Member("matched_content", CONTENT),
        Member("matched_regexp", "alert.2"),
        Member("record_id", "number"),
        Member("rule_name", "alert.1"),
        Member("time", _TIME),
    )
)


class _View(msgspec.Struct, frozen=True):
    """``name`` ends the path; ``always`` holds for every item."""

    name: str
    shape: Shape
    always: str
    catalogue: Catalogue
    #: SQL between the numbered events and the filter.
    joined: str = ""


_EVENTS = _View("events", _EVENT_SHAPE, EXTRACTED, EVENT)
_ALERTS = _View("alerts", _ALERT_SHAPE, "notEmpty(alerts)", EVENT, " ARRAY JOIN alerts AS alert")
_CONTENT = _View("content", _EVENT_SHAPE, EXTRACTED, CONTENT_OF_EVENTS)


async def events(http: web.Request) -> web.Response:
    """GET …/events?q=&limit=&offset=: commands, files, screens."""
    return await _answer(http, _EVENTS)


async def alerts(http: web.Request) -> web.Response:
    """GET …/alerts: events that met a rule when they were stored."""
    return await _answer(http, _ALERTS)


async def content(http: web.Request) -> web.Response:
    """GET …/content?q=: events in which the words are found; without q none (sps-facts 1.6)."""
    session = await find(http)
    given = request.parameters(http, ("q", "limit", "offset"))
    query = given.get("q", "").strip()
    if query.startswith("*"):
        raise BadRequestError("q must not begin with *", field="q")
    if not query:
        window = request.window(given, request.LARGEST_PART)
        return answers.list_response(b"", _meta(session, _CONTENT, given, window, 0))
    return await _list(http, session, _CONTENT, given)


async def _answer(http: web.Request, view: _View) -> web.Response:
    session = await find(http)
    return await _list(http, session, view, request.parameters(http, ("q", "limit", "offset")))


async def _list(http: web.Request, session: Found, view: _View, given: Parameters) -> web.Response:
    window = request.window(given, request.LARGEST_PART)
    source, chosen = numbered(session, view.joined)
    chosen = chosen.and_(Filter(view.always))
    if query := given.get("q", "").strip():
        chosen = chosen.and_(query_filter(query, view.catalogue, "q", Names()))
    listing = Listing(source=source, shape=view.shape, filter=chosen)
    reader = reader_of(http)
    count, rows = await together(
        reader.number(sql.count(source, chosen)), read_rows(reader, listing, Slice(window.limit, window.offset))
    )
    return answers.list_response(rows, _meta(session, view, given, window, count))


def numbered(session: Found, joined: str = "") -> tuple[Source, Filter]:
    """The session's events with a number each, in order; the filter has what the source's text refers to."""
    own = events_of(session)
    source = msgspec.structs.replace(EVENTS, within=f"{_NUMBERED}{own.where}", by="number ASC")
    if joined:
        source = msgspec.structs.replace(source, within=f"SELECT *, alert FROM ({source.within}){joined}")  # noqa: S608
    return source, msgspec.structs.replace(own, where="true")


def _meta(session: Found, view: _View, given: Parameters, window: Window, count: int) -> dict[str, object]:
    parent = session_path(session.session_id)
    echoed = {"q": given["q"]} if given.get("q") else {}
    return links.list_meta(f"{parent}/{view.name}", parent, window, count, echoed)
