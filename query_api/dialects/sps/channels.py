"""The channels of a session, and one of them."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from query_api import sql
from query_api.dialects.sps import answers, links, request
from query_api.dialects.sps.channel_kinds import KINDS, Channel, Seen, channels_of
from query_api.dialects.sps.events import numbered
from query_api.dialects.sps.found import Found, find
from query_api.dialects.sps.paths import session_path
from query_api.errors import NotFoundError
from query_api.filters import Filter
from query_api.keys import reader_of
from query_api.paging import Slice
from query_api.shapes import Member, Shape

#: Events that channels are made of, the earliest of a session.
_EVENTS = 10_000

_TELLING = Filter("kind IN (" + ", ".join(f"'{kind}'" for kind in KINDS) + ") AND (kind != 'client' OR "
                  "JSONHas(details, 'width') OR channel_id != '')")  # fmt: skip
#: Of the details, which may be any JSON, only what is looked for is read.
_TEXTS, _NUMBERS = ("eventid", "direction", "orig_ip", "dst_ip"), ("orig_port", "dst_port")
_SHAPE = Shape(
    (
        Member("kind", "kind"),
        Member("time", "toUnixTimestamp64Micro(time)"),
        Member("started", "toUnixTimestamp64Micro(started)"),
        Member("channel", "channel_id"),
        Member("action", "action"),
        Member("has_size", "toBool(JSONHas(details, 'width'))"),
        *(Member(name, f"JSONExtractString(details, '{name}')") for name in _TEXTS),
        *(Member(name, f"JSONExtractInt(details, '{name}')") for name in _NUMBERS),
    )
)
_decode = msgspec.json.Decoder(list[Seen]).decode


async def channels(http: web.Request) -> web.Response:
    """GET …/channels."""
    session = await find(http)
    window = request.window(request.parameters(http, ("limit", "offset")), request.LARGEST_PART)
    found = await _channels_of(http, session)
    parent = session_path(session.session_id)
    page = found[window.offset : window.offset + window.limit]
    items: list[object] = [_object(session, channel) for channel in page]
    meta = links.list_meta(f"{parent}/channels", parent, window, len(found), {})
    return answers.items_response(items, meta)


async def channel(http: web.Request) -> web.Response:
    """GET …/channels/<key>."""
    session = await find(http)
    for one in await _channels_of(http, session):
        if one.key == http.match_info["channel"]:
            return answers.json_response(_object(session, one, parent=True))
    raise NotFoundError("this session has no such channel")


async def _channels_of(http: web.Request, session: Found) -> list[Channel]:
    source, own = numbered(session)
    rows = await reader_of(http).read(sql.page(source, own.and_(_TELLING), _SHAPE, Slice(_EVENTS)))
    return channels_of(session.protocol, _decode(b"[" + rows + b"]"))


def _object(session: Found, channel: Channel, *, parent: bool = False) -> dict[str, object]:
    listed = f"{session_path(session.session_id)}/channels"
    meta = {"href": f"{listed}/{channel.key}", **({"parent": listed} if parent else {})}
    said: dict[str, Any] = msgspec.to_builtins(channel)
    body = {name: value for name, value in said.items() if name not in ("key", "start", "end")}
    times = {
        "start_time": _iso(channel.start),
        "end_time": _iso(channel.end),
        "duration": (channel.end - channel.start) // 1_000_000,
    }
    return {"key": channel.key, "meta": meta, "body": {**body, "verdict": "accept", **times}}


def _iso(micros: int) -> str:
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)
    return moment.isoformat()
