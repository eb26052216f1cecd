"""What every request passes, from the outside in: errors in the owner's form, Host, Origin, length of the URL."""

import ipaddress
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from query_api.errors import ApiError, BadRequestError, ForbiddenError, TooLargeError, UrlTooLongError, WrongHostError
from query_api.keys import SETTINGS
from query_api.owners import error_response

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure as JSON of the path's owner, and no failure without an answer."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(request.path, error, error.status, error.headers)
    except web.HTTPRequestEntityTooLarge:
        limit = request.app[SETTINGS].http.body_bytes
        return error_response(request.path, TooLargeError(f"the body has more than {limit} bytes"), 413, {})
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {name: value for name, value in error.headers.items() if name == "Allow"}
        return error_response(request.path, ApiError(_words(request, error)), error.status, headers)
    except web.RequestPayloadError as error:
        return error_response(request.path, BadRequestError(f"the body cannot be read: {error}"), 400, {})
    except Exception:  # A bug of ours: logged whole, answered without its insides
        if request.transport is None or request.transport.is_closing():
            raise
        log.exception("request failed", method=request.method, path=request.path)
        return error_response(request.path, ApiError("an error of the server; its log has more"), 500, {})


@web.middleware
async def host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only names of this machine: a page in a browser reaches loopback by a name of its own (DNS rebinding)."""
    name = _host_of("//" + request.host)
    if name is None or not (is_loopback(name) or name == _host_of("//" + request.app[SETTINGS].http.listen)):
        raise WrongHostError("the Host header does not name this server")
    return await handler(request)


@web.middleware
async def origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pages of other origins may not write, nor open a WebSocket; there are no CORS headers for reads either."""
    upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
    sent = request.headers.get("Origin")
    if (
        sent is not None
        and (upgrade or request.method not in _READS)
        and sent.lower() != f"{request.scheme}://{request.host}".lower()
    ):
        raise ForbiddenError("requests of another origin are refused")
    return await handler(request)


@web.middleware
async def url_length(request: web.Request, handler: Handler) -> web.StreamResponse:
    limit = request.app[SETTINGS].http.url_bytes
    if len(request.raw_path) > limit:
        raise UrlTooLongError(f"the URL has more than {limit} bytes; send the fields as JSON body of the GET instead")
    return await handler(request)


ALL = (errors, host, origin, url_length)


def is_loopback(name: str) -> bool:
    """``localhost``, 127.0.0.0/8 and ::1; any other name may lead anywhere."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host_of(netloc: str) -> str | None:
    try:
        return urlsplit(netloc).hostname
    except ValueError:
        return None


def _words(request: web.Request, error: web.HTTPException) -> str:
    if error.status == HTTPStatus.NOT_FOUND:
        return "there is nothing at this path"
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.method} is not allowed here; allowed: {error.headers.get('Allow', '')}"
    return error.reason
