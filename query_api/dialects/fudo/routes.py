"""The doors of Fudo's API. What is behind none of them is "Unrecognized endpoint", as the document words it."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from query_api.dialects.fudo import backing_up, batch, changing, objspec, reading
from query_api.dialects.fudo import described as of
from query_api.errors import BadRequestError
from query_api.openapi.doors import Door
from query_api.writes import KEY_DESCRIBED

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BASE = "/api/v2"

DOORS = (
    Door(
        method="GET",
        path=f"{_BASE}/session",
        handler=reading.sessions,
        summary="Sessions, newest first unless ordered otherwise",
        query=of.FudoListQuery,
        check_query=False,
        answer=of.FudoSessions,
    ),
    Door(
        method="GET",
        path=f"{_BASE}/session/{{id}}",
        handler=reading.session,
        summary="One session",
        query=of.FudoOneQuery,
        check_query=False,
        answer=of.FudoOneSession,
    ),
    Door(
        method="PATCH",
        path=f"{_BASE}/session/{{id}}",
        handler=changing.change,
        summary="Change what may be written of a session",
        query=of.FudoWriteQuery,
        check_query=False,
        body=of.FudoChange,
        check_body=False,
        answer=of.FudoWritten,
        headers=KEY_DESCRIBED,
        writes=True,
    ),
    Door(
        method="POST",
        path=f"{_BASE}/session/{{id}}/backup/{{backup}}",
        handler=backing_up.by_path,
        summary="Mark a session for a backup",
        query=of.FudoNone,
        check_query=False,
        answer=of.FudoMarked,
        status=201,
        headers=KEY_DESCRIBED,
        writes=True,
    ),
    Door(
        method="POST",
        path=f"{_BASE}/session_backup",
        handler=backing_up.by_body,
        summary="Mark sessions for a backup",
        query=of.FudoNone,
        check_query=False,
        body=of.FudoBackupAssignment,
        check_body=False,
        answer=of.FudoMarked,
        status=201,
        headers=KEY_DESCRIBED,
        writes=True,
    ),
    Door(
        method="POST",
        path=f"{_BASE}/batch",
        handler=batch.batch,
        summary="Several requests in one",
        query=of.FudoNone,
        check_query=False,
        body=of.FudoBatch,
        check_body=False,
        answer=of.FudoBatched,
        headers=KEY_DESCRIBED,
    ),
    Door(
        method="GET",
        path=f"{_BASE}/objspec/session",
        handler=objspec.session,
        summary="The attributes of a session",
        query=of.FudoNone,
        check_query=False,
        answer=of.FudoSessionSpec,
    ),
    Door(
        method="GET",
        path=f"{_BASE}/objspec/session_backup",
        handler=objspec.session_backup,
        summary="The attributes of a request for a backup",
        query=of.FudoNone,
        check_query=False,
        answer=of.FudoBackupSpec,
    ),
)


def strangers() -> list[web.RouteDef]:
    """Answers to other methods of these paths, and to every other path below /api/v2."""
    methods: dict[str, list[str]] = {}
    for door in DOORS:
        methods.setdefault(door.path, []).append(door.method)
    refused = [web.route("*", path, _not_allowed(tuple(known))) for path, known in methods.items()]
    return [*refused, web.route("*", _BASE + "{rest:(/.*)?}", _unrecognized)]


def _not_allowed(methods: tuple[str, ...]) -> Handler:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(request.method, methods)

    return refuse


async def _unrecognized(request: web.Request) -> web.StreamResponse:
    raise BadRequestError("Unrecognized endpoint")
