"""The paths of Fudo's API. What is not among them is "Unrecognized endpoint", as the document words it."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from query_api.dialects.fudo import backing_up, batch, changing, objspec, reading
from query_api.errors import BadRequestError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BASE = "/api/v2"

#: Path → method → handler.
_DOORS: Mapping[str, Mapping[str, Handler]] = {
    "/session": {"GET": reading.sessions},
    "/session/{id}": {"GET": reading.session, "PATCH": changing.change},
    "/session/{id}/backup/{backup}": {"POST": backing_up.by_path},
    "/session_backup": {"POST": backing_up.by_body},
    "/batch": {"POST": batch.batch},
    "/objspec/session": {"GET": objspec.session},
    "/objspec/session_backup": {"GET": objspec.session_backup},
}


def routes() -> list[web.RouteDef]:
    found = []
    for path, handlers in _DOORS.items():
        found += [web.route(method, _BASE + path, handler) for method, handler in handlers.items()]
        found.append(web.route("*", _BASE + path, _not_allowed(tuple(handlers))))
    return [*found, web.route("*", _BASE + "{rest:(/.*)?}", _unrecognized)]


def _not_allowed(methods: tuple[str, ...]) -> Handler:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(request.method, methods)

    return refuse


async def _unrecognized(request: web.Request) -> web.StreamResponse:
    raise BadRequestError("Unrecognized endpoint")
