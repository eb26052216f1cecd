"""One line per request: method, path, status, bytes, milliseconds. Neither bodies nor query strings."""

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

log = structlog.get_logger("access")


class AccessLog(AbstractAccessLogger):
    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        log.info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status,
            bytes=response.body_length,
            ms=round(time * 1000, 1),
            remote=request.remote,
        )
