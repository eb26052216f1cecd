"""Whose path is it? One table: each dialect owns its paths, takes credentials and words the errors there.

A dialect that is added registers its paths and its forms here, and nowhere else.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from aiohttp import web

from query_api import error_forms
from query_api.errors import ApiError

#: An error, its status and the path, as the owner's clients know it.
ErrorForm = Callable[[ApiError, int, str], msgspec.Struct]

#: How a request shows who it is from. ``bearer``: Authorization: Bearer, in any case; ``bearer_exact``: only as
#: written; ``raw``: the header is the token alone; ``query``: ?token=; ``cookie``: a login of /api/authentication.
Shown = Literal["bearer", "bearer_exact", "raw", "query", "cookie"]


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """``paths`` is a regex on the whole path; ``shown`` in the order in which credentials are looked for."""

    name: str
    paths: str
    form: ErrorForm
    #: What the form makes.
    error: type[msgspec.Struct]
    shown: tuple[Shown, ...] = ("bearer", "cookie")
    #: WWW-Authenticate of a 401.
    challenge: str = 'Bearer realm="sojourn"'
    #: Whether a parameter that is not in its document is an error; some clients send others (hard-questions: no toys).
    refuses_unknown: bool = True
    #: Headers of every error, where the successes have them too.
    headers: Mapping[str, str] = {}
    #: Statuses that this owner's clients know as another one.
    statuses: Mapping[int, int] = {}


#: The first owner whose pattern matches the whole path; the last one takes the rest (hard-questions: whose path is it).
OWNERS = (
    Owner(
        name="honeytrap",
        paths=r"/events|/sessions|/ws|/events/stream|/sessions/stream|/metrics/.*",
        form=error_forms.plain,
        error=error_forms.PlainError,
    ),
    Owner(
        name="netalertx",
        paths=r"/sessions/.*|/devices/(by-status|totals)",
        form=error_forms.netalertx,
        error=error_forms.NetAlertXError,
        shown=("bearer_exact", "query"),
        refuses_unknown=False,
        statuses={401: 403},
    ),
    Owner(
        name="fudo",
        paths=r"/api/v2(/.*)?",
        form=error_forms.fudo,
        error=error_forms.FudoFailure,
        shown=("raw",),
        challenge='Key realm="sojourn"',
    ),
    Owner(
        name="sps",
        paths=r"/api.*",
        form=error_forms.sps,
        error=error_forms.SpsError,
        shown=("cookie",),
        challenge='Basic realm="sojourn", charset="UTF-8"',
        headers={"Allow": "GET", "Content-Language": "en"},
        refuses_unknown=False,
    ),
    Owner(name="sojourn", paths=r".*", form=error_forms.plain, error=error_forms.PlainError),
)

#: Doors that ask nobody who he is, on every server.
_PUBLIC = re.compile(r"/health/.*|/version|/api/info|/api/authentication(/.*)?", re.DOTALL)
#: Doors that stay open for long: they take no place among the answers in work, and have limits of their own.
_LONG_LIVED = frozenset({"/ws", "/events/stream", "/sessions/stream"})
#: How clients call lines of JSON, and lines of anything.
_LINES = (
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/json",
    "application/octet-stream",
)
#: Doors that say whether this server is well, whatever else it does.
_HEALTH = re.compile(r"/health/.*|/version", re.DOTALL)


def owner_of(path: str) -> Owner:
    return next(owner for owner in OWNERS if re.fullmatch(owner.paths, path, re.DOTALL))


def is_public(method: str, path: str) -> bool:
    """Whether anybody may come in without a credential."""
    return method == "OPTIONS" or _PUBLIC.fullmatch(path) is not None


def takes_lines(path: str) -> bool:
    """Whether sensors hand in records here: lines of any format, more of them than another body may have."""
    return path == "/ingest" or path.startswith("/ingest/")


def media_types(path: str) -> tuple[str, ...]:
    """What the Content-Type of a body may be: none that a page elsewhere may send without asking first."""
    return _LINES if takes_lines(path) else ("application/json",)


def takes_place(path: str) -> bool:
    """Whether an answer at this path counts as work."""
    return path not in _LONG_LIVED and _HEALTH.fullmatch(path) is None


def error_response(path: str, error: ApiError, status: int, headers: Mapping[str, str]) -> web.Response:
    """The error in the form of the path's owner."""
    owner = owner_of(path)
    status = owner.statuses.get(status, status)
    body = msgspec.json.encode(owner.form(error, status, path)) + b"\n"
    return web.Response(body=body, status=status, headers={**owner.headers, **headers}, content_type="application/json")
