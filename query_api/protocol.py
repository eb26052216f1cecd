"""What aiohttp refuses before any handler sees it, in the form of the path's owner as far as the path is known."""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlsplit

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_request import BaseRequest

from query_api.errors import ApiError
from query_api.middlewares import SERVER_NAME
from query_api.owners import error_response

log = structlog.get_logger()

Handler = Callable[[BaseRequest], Awaitable[web.StreamResponse]]

#: A request line, as far as it takes to know whose path it is.
_REQUEST_LINE = re.compile(rb"[^\s]{1,64} ([^\s]{1,8192})")
_LONG_HEAD = "the head of the request has a line that is too long, or too many of them"


class Protocol(web.RequestHandler):
    """As aiohttp's own, with errors in JSON and one line in the log for what is no HTTP."""

    __slots__ = ("_target",)

    def data_received(self, data: bytes) -> None:
        # aiohttp keeps nothing of what it cannot parse. A body that looks like a request line misleads nobody but
        # whoever sent it, and him about the form of an error alone.
        if begun := _REQUEST_LINE.match(data):
            self._target = begun[1]
        super().data_received(data)

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        path = request.path
        if status >= 500:
            log.error("request failed", method=request.method, path=path, exc_info=exc)
            words = "an error of the server; its log has more"
        else:
            path = _path_of(getattr(self, "_target", b""))
            words = "this is no HTTP request: " + " ".join((message or "").split("\n")[0].split())[:100].rstrip(":")
            if isinstance(exc, LineTooLong) or words.endswith("Too many headers received"):
                status, words = 431, _LONG_HEAD
            log.info("not HTTP", remote=request.remote, why=words)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is sent already")
        answer = error_response(path, ApiError(words), status, {"Server": SERVER_NAME})
        answer.force_close()
        return answer


def in_owners_form(handler: Handler) -> Handler:
    """What aiohttp refuses between its router and our middlewares: an ``Expect`` it does not know."""

    async def handle(request: BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPExpectationFailed:
            words = "Expect: 100-continue is all that can be expected"
            return error_response(request.path, ApiError(words, field="Expect"), 417, {})

    return handle


def _path_of(target: bytes) -> str:
    """The path of a request line that may be anything; empty where it has none."""
    try:
        path = unquote(urlsplit(target.decode("ascii", "replace")).path, errors="replace")
    except ValueError:
        return ""
    return path if path.startswith("/") else ""
