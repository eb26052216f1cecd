"""What every request passes, from the outside in: errors in the owner's form, Host, Origin, length of the URL, who
asks, type of the body, a place among the answers in work."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from query_api.auth.doors import authenticate
from query_api.auth.principal import principal_of
from query_api.bodies import unpacked
from query_api.errors import (
    ApiError,
    BadRequestError,
    ForbiddenError,
    RequestTimeoutError,
    TooLargeError,
    UnsupportedMediaTypeError,
    UrlTooLongError,
    WrongHostError,
)
from query_api.keys import GATE, SETTINGS
from query_api.limits import body_bytes
from query_api.listen import is_loopback, listen_address
from query_api.owners import error_response, media_types, takes_place

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SERVER_NAME = "sojourn"
#: Seconds a client has to send the body.
_BODY_SECONDS = 30.0
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure as JSON of the path's owner, and no failure without an answer."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(request.path, error, error.status, error.headers)
    except web.HTTPRequestEntityTooLarge:
        limit = body_bytes(request.app[SETTINGS].http, request.path)
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
    """Only names of this server: a page in a browser reaches it by a name of its own (DNS rebinding)."""
    name = _host_of("//" + request.host)
    if name is None or not (is_loopback(name) or name in _names(request)):
        raise WrongHostError("the Host header does not name this server; http.names lists the names it has")
    return await handler(request)


def _names(request: web.Request) -> set[str]:
    """The configured ones, and the address listened on: the one this connection came in by where it is any."""
    http = request.app[SETTINGS].http
    address = listen_address(http.listen).host
    if ipaddress.ip_address(address).is_unspecified and request.transport is not None:
        address = request.transport.get_extra_info("sockname")[0]
    return {address, *_listed(http.names.lower())}


@web.middleware
async def origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pages of other origins may not write, nor open a WebSocket, nor read an answer: unless they are configured."""
    upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
    sent = request.headers.get("Origin")
    if sent is None:
        return await handler(request)
    if _is_welcome(request, sent):
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            # A browser asks beforehand, without a credential; the headers come with every answer.
            return web.Response(status=204)
    elif (upgrade or request.method not in _READS) and sent.lower() != f"{request.scheme}://{request.host}".lower():
        raise ForbiddenError("requests of another origin are refused")
    return await handler(request)


def _is_welcome(request: web.Request, sent: str) -> bool:
    return sent.lower() in _listed(request.app[SETTINGS].http.origins.lower())


async def server_header(request: web.Request, response: web.StreamResponse) -> None:
    """Our name, not the versions of what we are made of."""
    response.headers["Server"] = SERVER_NAME


async def cross_origin_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Lets pages of configured origins, and of no other, read the answer; runs for every answer, errors too."""
    sent = request.headers.get("Origin")
    if not request.app[SETTINGS].http.origins:
        return
    response.headers.add("Vary", "Origin")
    if sent is None or not _is_welcome(request, sent):
        return
    response.headers["Access-Control-Allow-Origin"] = sent
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Expose-Headers"] = "Retry-After"
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Idempotency-Key, X-Token"
        response.headers["Access-Control-Max-Age"] = "600"


@web.middleware
async def url_length(request: web.Request, handler: Handler) -> web.StreamResponse:
    limit = request.app[SETTINGS].http.url_bytes
    if len(request.raw_path) > limit:
        raise UrlTooLongError(f"the URL has more than {limit} bytes; send the fields as JSON body of the GET instead")
    return await handler(request)


@web.middleware
async def media_type(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A write with a body says that it is JSON: a page elsewhere cannot do that without asking first."""
    known = media_types(request.path)
    if request.method not in _READS and request.body_exists and request.content_type.lower() not in known:
        raise UnsupportedMediaTypeError(f"Content-Type must be {' or '.join(known)}", field="Content-Type")
    return await handler(request)


@web.middleware
async def body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The whole body, unpacked, before a place is taken: whoever sends slowly holds none, and not for long.

    A body that is said to be packed is there: without one it was lost on the way, and filters with it.
    """
    if request.body_exists or request.headers.get("Content-Encoding"):
        limit = body_bytes(request.app[SETTINGS].http, request.path)
        request = request.clone(client_max_size=limit)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                sent = await request.read()
        except TimeoutError:
            raise RequestTimeoutError(f"the body did not come within {_BODY_SECONDS:.0f} s") from None
        # What read() gives from now on; aiohttp has no way to say so.
        request._read_bytes = unpacked(sent, request.headers.get("Content-Encoding", ""), limit)
    return await handler(request)


@web.middleware
async def place(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A place among the answers in work."""
    if not takes_place(request.path):
        return await handler(request)
    with request.app[GATE].place(principal_of(request)):
        return await handler(request)


ALL = (errors, host, origin, url_length, authenticate, media_type, body, place)


def _listed(text: str) -> set[str]:
    """The entries of a setting that lists them with commas."""
    return {entry.strip() for entry in text.split(",") if entry.strip()}


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
