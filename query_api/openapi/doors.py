"""A door is a route with all that a client must know of it; what it says is checked before its handler runs.

So the document at /openapi.json, which is made of the same values, cannot promise what the API does not do.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from query_api.documents import json_object, query_pairs
from query_api.openapi.asked import check_body, check_query
from query_api.owners import owner_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_VARIABLE = re.compile(r"\{([A-Za-z_]+)(?::(?:[^{}]|\{[^{}]*\})*)?\}")


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    ``path`` is as aiohttp routes it, ``{name:regex}`` included. ``query`` and ``body`` are structs: types, bounds
    (``Meta``), names and descriptions of the parameters are taken from them, and what does not fit is answered 400
    before the handler runs. A list in ``query`` is a parameter that may be repeated. ``answer`` is the JSON of a
    success; None is another ``media`` type, or no body.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    #: More than a line, in Markdown.
    text: str = ""
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    #: Media types of a body that is no JSON object, with what it is.
    takes: Mapping[str, str] = {}
    #: Headers that the handler reads itself, by name: a type with ``Meta``.
    headers: Mapping[str, Any] = {}
    #: Off where the dialect has words of its own for a wrong query or body: then the handler checks.
    check_query: bool = True
    check_body: bool = True
    answer: Any = None
    #: The JSON of a 400 that says more than an error in the owner's form, beside that.
    refusal: Any = None
    #: The JSON of a 503 where that is no error in the owner's form.
    unavailable: Any = None
    #: Media type of a success, where it is not JSON alone, with its description.
    media: Mapping[str, str] = {}
    #: Status of a success.
    status: int = 200
    #: Whether it writes: 202 then says that the change is acknowledged and reads do not show it yet.
    writes: bool = False
    #: Whether user and password are shown here, by Authorization: Basic.
    logs_in: bool = False
    #: What the variables of the path are: a type with ``Meta``; a text otherwise.
    variables: Mapping[str, Any] = {}

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it."""
        return _VARIABLE.sub(r"{\1}", self.path)

    @property
    def names(self) -> list[str]:
        """The variables of the path."""
        return [found[1] for found in _VARIABLE.finditer(self.path)]


def route(door: Door) -> web.RouteDef:
    """The door in the router; HEAD is not made of GET, as no contract has it."""
    return web.RouteDef(door.method, door.path, _checked(door), {"allow_head": False} if door.method == "GET" else {})


def _checked(door: Door) -> Handler:
    strict = owner_of(door.template).refuses_unknown
    query, body = door.query if door.check_query else None, door.body if door.check_body else None

    async def handle(request: web.Request) -> web.StreamResponse:
        if query is not None:
            check_query(query_pairs(request.rel_url.raw_query_string), query, strict=strict)
        if body is not None:
            check_body(json_object(await request.read()), body)
        return await door.handler(request)

    return handle
