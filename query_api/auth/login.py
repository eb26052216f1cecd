"""Logging in and out, for the dialect whose clients do it (sps-facts 1.1)."""

import time

import msgspec
from aiohttp import web

from query_api.auth.cookies import COOKIE, set_cookie, unset_cookie
from query_api.auth.doors import ACCESS


class LoggedIn(msgspec.Struct, frozen=True):
    """``set_cookie``: the value of the header Set-Cookie, the only one of the answer; ``remaining``: seconds."""

    set_cookie: str
    remaining: int


async def log_in(request: web.Request) -> LoggedIn:
    """By ``Authorization: Basic``. Raises UnauthorizedError, TooManyRequestsError."""
    access = request.app[ACCESS]
    cookie = await access.log_in(request)
    header = set_cookie(cookie, secure=request.secure, now=time.time())
    return LoggedIn(header, access.logins.remaining(cookie))


def log_out(request: web.Request) -> str:
    """Ends the login of the request's cookie, if there is one; the value of Set-Cookie that removes it."""
    request.app[ACCESS].logins.close(request.cookies.get(COOKIE, ""))
    return unset_cookie(secure=request.secure)


def remaining_seconds(request: web.Request) -> int:
    """Seconds until the login of this request ends, idle from now on. Where nobody logs in it is as after a login."""
    access = request.app[ACCESS]
    found = access.logins.remaining(request.cookies.get(COOKIE, ""))
    return found or (int(access.logins.idle) if access.open else 0)
