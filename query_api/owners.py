"""Whose path is it? One table: each dialect owns its paths and words the errors there.

A dialect that is added registers its paths and its form here, and nowhere else.
"""

import re
from collections.abc import Callable

import msgspec
from aiohttp import web

from query_api.errors import ApiError

#: An error as the owner's clients know it; always JSON, the status and headers are set by the caller.
ErrorForm = Callable[[ApiError], dict[str, object]]


def _plain(error: ApiError) -> dict[str, object]:
    """``{"error": …}``, and ``field`` where the error is about one."""
    return {"error": error.message, "field": error.field} if error.field else {"error": error.message}


class Owner(msgspec.Struct, frozen=True):
    """``paths`` is a regex on the whole path."""

    name: str
    paths: str
    form: ErrorForm


#: The first owner whose pattern matches the whole path; the last one takes the rest.
OWNERS = (
    Owner("honeytrap", r"/events|/sessions|/ws|/events/stream|/sessions/stream|/metrics/.*", _plain),
    Owner("sojourn", r".*", _plain),
)


def owner_of(path: str) -> Owner:
    return next(owner for owner in OWNERS if re.fullmatch(owner.paths, path, re.DOTALL))


def error_response(path: str, error: ApiError, status: int, headers: dict[str, str]) -> web.Response:
    """The error in the form of the path's owner."""
    body = msgspec.json.encode(owner_of(path).form(error)) + b"\n"
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
