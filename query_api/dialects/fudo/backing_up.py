"""POST of backups: sessions are marked, and exported to a target of the settings by a process of their own.

The answer waits until the mark can be read (``fields=backups``); how far an export has come is read there, too.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from producers.writes import Write
from query_api.dialects.fudo.caller import Caller, Prepared, caller_of
from query_api.dialects.fudo.reading import answered, no_body, written
from query_api.dialects.fudo.request import parse
from query_api.dialects.fudo.targets import find_all
from query_api.documents import json_object, shown
from query_api.errors import BadRequestError, NotFoundError
from query_api.filters import checked_list
from query_api.writes import WRITES, Change, in_sessions, part_of, request_id
from schemas import topics
from schemas.backups import Request

_SESSION, _SESSIONS, _BACKUP, _NAME = "session_id", "session_ids", "backup_id", "backup_name"
#: A target has its name as id.
_MEMBERS = (_SESSION, _SESSIONS, _BACKUP, _NAME)
_ID_LIMIT = 1024

_encode = msgspec.json.Encoder().encode


class Assignment(msgspec.Struct, frozen=True):
    sessions: tuple[str, ...]
    target: str


async def by_path(request: web.Request) -> web.StreamResponse:
    await no_body(request)
    return await _assign(request, Assignment((request.match_info["id"],), request.match_info["backup"]))


async def by_body(request: web.Request) -> web.StreamResponse:
    return await _assign(request, assignment_of(json_object(await request.read())))


async def _assign(request: web.Request, wanted: Assignment) -> web.StreamResponse:
    caller = caller_of(request)
    name = await request_id(request)
    prepared = await prepare(caller, request.rel_url.raw_query_string, wanted, name)
    is_visible = await request.app[WRITES].make(prepared.change, caller.reader, request)
    status, members = await written(caller, prepared, is_visible)
    return answered({"result": "success", **members}, status)


async def prepare(caller: Caller, query: str, wanted: Assignment, name: str) -> Prepared:
    """Understand a backup; ``name`` is the request's id. Raises ApiError."""
    parse(query, frozenset(), caller.zone)
    if wanted.target not in caller.targets:
        raise NotFoundError(f"Object not found: there is no backup target {shown(wanted.target)}")
    targets = [found.target for found in await find_all(caller.reader, wanted.sessions)]
    now = time.time_ns() // 1000
    parts = [part_of(name, wanted.target, target.sensor, target.session_id) for target in targets]
    made = tuple(
        _message(
            Request(
                request_id=part,
                target=wanted.target,
                sensor=target.sensor,
                session_id=target.session_id,
                key=target.key,
                time=now,
            )
        )
        for part, target in zip(parts, targets, strict=True)
    )
    return Prepared(
        change=Change(made, in_sessions(targets, parts)), status=201, members={_SESSIONS: list(wanted.sessions)}
    )


def assignment_of(body: Mapping[str, Any]) -> Assignment:
    """SessionBackupAssignmentModel, checked. Raises BadRequestError that names the member."""
    for name in body:
        if name not in _MEMBERS:
            known = ", ".join(_MEMBERS)
            raise BadRequestError(f"there is no member {shown(name)}; known are {known}", field=shown(name))
    sessions = _one_of(body, _SESSION, _SESSIONS)
    target = _one_of(body, _BACKUP, _NAME)
    ids = body[sessions] if sessions == _SESSIONS else [body[sessions]]
    if not isinstance(ids, list) or not ids:
        raise BadRequestError(f"{_SESSIONS} must be a list of at least one id", field=_SESSIONS)
    checked_list(ids, _SESSIONS)
    # An id that is named twice is one session.
    return Assignment(tuple(dict.fromkeys(_id(one, sessions) for one in ids)), _id(body[target], target))


def _one_of(body: Mapping[str, Any], first: str, second: str) -> str:
    given = [name for name in (first, second) if name in body]
    if len(given) != 1:
        raise BadRequestError(f"exactly one of {first} and {second} is needed", field=second)
    return given[0]


def _id(given: object, name: str) -> str:
    if isinstance(given, str) and 0 < len(given) <= _ID_LIMIT and given == given.encode(errors="replace").decode():
        return given
    raise BadRequestError(f"{name} must be text of 1 to {_ID_LIMIT} characters", field=name)


def _message(asked: Request) -> Write:
    return Write(_encode((asked.sensor, asked.session_id)), _encode(asked), topics.BACKUPS)
