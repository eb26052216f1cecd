"""Messages of Honeytrap's WebSocket: ``{"type": n, "payload": …}`` and a newline (honeytrap-facts 4.4). Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from query_api.dialects.honeytrap.request import Request, parse
from query_api.documents import json_object, query_pairs
from query_api.errors import BadRequestError
from query_api.live.items import View

_REQUESTS: Mapping[int, View] = {1: "sessions", 3: "events"}
_REPLIES: Mapping[View, int] = {"sessions": 2, "events": 4}
_PUSHES: Mapping[View, int] = {"sessions": 5, "events": 6}
_ERROR = 7

_TYPE, _PAYLOAD = "type", "payload"
_encode = msgspec.json.Encoder().encode


class MessageError(Exception):
    """A request that cannot be understood; ``number`` is its type, 0 where it has none."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(words)
        self.number = number


class Asked(msgspec.Struct, frozen=True):
    """A request that was understood."""

    number: int
    view: View
    request: Request


def read_request(sent: str | bytes) -> Asked:
    """The fields of the request stand in its payload, or beside its type. Raises MessageError."""
    try:
        members = json_object(sent.encode("utf-8", "surrogatepass") if isinstance(sent, str) else sent)
    except BadRequestError as error:
        raise MessageError(0, error.message.replace("the body", "the message", 1)) from None
    number = members.pop(_TYPE, None)
    if not isinstance(number, int) or isinstance(number, bool):
        raise MessageError(0, f"{_TYPE} must be an integer: 1 asks for sessions, 3 for events")
    view = _REQUESTS.get(number)
    if view is None:
        # The product's own words, and what would have been right.
        raise MessageError(number, "Unknown Request Type; 1 asks for sessions, 3 for events")
    payload = members.pop(_PAYLOAD, None)
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        raise MessageError(number, f"{_PAYLOAD} must be an object or null")
    try:
        twice = next((name for name in members if name in payload), None)
        if twice is not None:
            raise BadRequestError(f"{twice} is given in the {_PAYLOAD} and beside it", field=twice)
        return Asked(number, view, parse({**members, **payload}, []))
    except BadRequestError as error:
        raise MessageError(number, error.message) from None


def reply(view: View, rows: bytes, counts: Mapping[str, Any]) -> bytes:
    """Rows as JSON text with commas between; ``counts`` stand beside them."""
    return _written(_REPLIES[view], b"[" + rows + b"]", counts)


def push(view: View, rows: Sequence[bytes], lost: int) -> bytes:
    """What is new, oldest first; ``lost`` says how many were left out before."""
    return _written(_PUSHES[view], b"[" + b",".join(rows) + b"]", {"lost": lost} if lost else {})


def error(number: int, words: str) -> bytes:
    """``number`` is the type of the request that failed."""
    return _written(_ERROR, _encode({"request": number, "error": words}), {})


def frames_are_text(request: web.Request) -> bool:
    """Whether the client wants frames of text; the product's are binary. Raises BadRequestError."""
    for name, value in query_pairs(request.rel_url.raw_query_string):
        if name == "frames":
            if value not in ("text", "binary"):
                raise BadRequestError("frames must be text or binary", field="frames")
            return value == "text"
    return False


def _written(number: int, payload: bytes, others: Mapping[str, Any]) -> bytes:
    beside = b"".join(b"," + _encode(name) + b":" + _encode(value) for name, value in others.items())
    return b'{"type":%d,"payload":' % number + payload + beside + b"}\n"
