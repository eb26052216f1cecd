"""Sojourn's own pages: is it alive, is it ready, which version is it."""

import time
from importlib.metadata import PackageNotFoundError, version

import msgspec
from aiohttp import web

from query_api.keys import CONNECTION, HEALTH


def _json(value: object, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = "1"
    body = msgspec.json.encode(value) + b"\n"
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


async def live(request: web.Request) -> web.Response:
    """This process answers."""
    return _json({"status": "live"})


async def ready(request: web.Request) -> web.Response:
    """200 when records flow from Kafka to answers, else 503; each part by name, with a sentence."""
    clickhouse = await request.app[CONNECTION].answers()
    verdict = request.app[HEALTH].verdict(time.time_ns() // 1000, clickhouse)
    return _json(verdict, 200 if verdict.status == "ready" else 503)


async def show_version(request: web.Request) -> web.Response:
    return _json({"name": "sojourn", "version": _version()})


def _version() -> str:
    try:
        return version("sojourn")
    except PackageNotFoundError:
        return "unknown"
