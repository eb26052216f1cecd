"""Logging in and out (sps-facts 1.1): the form of it; who may come in is decided by the auth core."""

from aiohttp import web

from query_api.auth.login import log_in, log_out
from query_api.dialects.sps import answers, request
from query_api.dialects.sps.paths import API
from query_api.errors import BadRequestError

PATH = f"{API}/authentication"
_ALLOWED = {**answers.HEADERS, "Allow": "GET, DELETE"}
#: The one way to log in: a name and a password that this server knows.
_METHOD = "local"


async def login(http: web.Request) -> web.Response:
    """GET with Basic: the cookie, alone in its header."""
    given = request.parameters(http, ("login_method", "type"))
    if given.get("login_method", _METHOD) != _METHOD:
        raise BadRequestError(f"login_method must be {_METHOD}", field="login_method")
    if given.get("type", "basic") != "basic":
        raise BadRequestError("type must be basic: client certificates are not taken", field="type")
    found = await log_in(http)
    return answers.json_response({"meta": _meta(found.remaining)}, {**_ALLOWED, "Set-Cookie": found.set_cookie})


async def logout(http: web.Request) -> web.Response:
    """DELETE: the cookie counts no more; there need not be one."""
    return answers.json_response({"meta": _meta(0)}, {**_ALLOWED, "Set-Cookie": log_out(http)})


async def login_methods(http: web.Request) -> web.Response:
    """GET …/login_methods, for everybody."""
    meta = {"href": f"{PATH}/login_methods", "parent": PATH}
    return answers.json_response({"login_methods": [{"name": _METHOD, "type": "basic"}], "meta": meta})


async def types(http: web.Request) -> web.Response:
    """GET …/types, as older clients ask."""
    return answers.json_response({"types": ["basic"], "meta": {"href": f"{PATH}/types", "parent": PATH}})


def _meta(remaining: int) -> dict[str, object]:
    return {"href": PATH, "parent": API, "remaining_seconds": remaining}
