"""Doors of Honeytrap that stay open: the WebSocket, and streams of server-sent events."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from query_api.dialects.honeytrap.document import HoneytrapFilters
from query_api.dialects.honeytrap.socket import websocket
from query_api.dialects.honeytrap.streams import events_stream, sessions_stream
from query_api.live.positions import HEADER
from query_api.openapi.doors import Door


class HoneytrapFrames(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of the WebSocket."""

    frames: Annotated[
        Literal["binary", "text"], Meta(description="What messages are sent as; binary, as the product does")
    ] = "binary"


_HEADERS = {HEADER: Annotated[str, Meta(description="The last id that the client got: rows go on behind it")]}
_STREAM = (
    "Server-sent events: `data` is one row as on a page, `id` the place in the log behind it. A client that comes back "
    "with it as header `Last-Event-ID` gets everything from there on. An event `lost` says how many rows a slow client "
    "has missed."
)
DOORS = (
    Door(
        method="GET",
        path="/ws",
        handler=websocket,
        summary="A WebSocket: requests, replies and what is new",
        text='Messages are `{"type": n, "payload": …}`: 1 and 3 ask for sessions and events, 2 and 4 are the replies, '
        "5 and 6 what is new, 7 an error.",
        query=HoneytrapFrames,
        status=101,
    ),
    Door(
        method="GET",
        path="/events/stream",
        handler=events_stream,
        summary="Events as they come",
        text=_STREAM,
        query=HoneytrapFilters,
        headers=_HEADERS,
        media={"text/event-stream": "Rows without end"},
    ),
    Door(
        method="GET",
        path="/sessions/stream",
        handler=sessions_stream,
        summary="Versions of sessions as they come",
        text=_STREAM,
        query=HoneytrapFilters,
        headers=_HEADERS,
        media={"text/event-stream": "Rows without end"},
    ),
)
