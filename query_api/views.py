"""Sojourn's own doors: is it alive, is it ready, which version is it, what can be asked."""

import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import msgspec
from aiohttp import web

from query_api.health import Verdict
from query_api.keys import CONNECTION, HEALTH
from query_api.openapi.document import document
from query_api.openapi.doors import Door
from query_api.openapi.page import page


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
    return _json({"name": "sojourn", "version": current_version()})


async def show_document(request: web.Request) -> web.Response:
    """The OpenAPI document of all doors."""
    return web.Response(body=request.app[DOCUMENT].json, content_type="application/json")


async def show_docs(request: web.Request) -> web.Response:
    """The same as a page for people. It has no script and loads nothing."""
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return web.Response(text=request.app[DOCUMENT].page, content_type="text/html", headers=policy)


class Live(msgspec.Struct, frozen=True):
    status: str


class Version(msgspec.Struct, frozen=True):
    name: str
    version: str


class OpenApiInfo(msgspec.Struct, frozen=True):
    title: str
    version: str


class OpenApi(msgspec.Struct, frozen=True):
    """An OpenAPI 3.1 document."""

    openapi: str
    info: OpenApiInfo


class Documented(msgspec.Struct, frozen=True):
    """The description of all doors, made once at the start."""

    json: bytes
    page: str


DOCUMENT = web.AppKey("document", Documented)


def documented(doors: Sequence[Door]) -> Documented:
    found = document(doors, current_version())
    return Documented(msgspec.json.encode(found), page(found))


DOORS = (
    Door(method="GET", path="/health/live", handler=live, summary="Does this process answer?", answer=Live),
    Door(
        method="GET",
        path="/health/ready",
        handler=ready,
        summary="Do records flow from Kafka to answers?",
        answer=Verdict,
        unavailable=Verdict,
    ),
    Door(method="GET", path="/version", handler=show_version, summary="Which version is this?", answer=Version),
    Door(method="GET", path="/openapi.json", handler=show_document, summary="This document", answer=OpenApi),
    Door(
        method="GET",
        path="/docs",
        handler=show_docs,
        summary="This document as a page",
        media={"text/html": "A page for people"},
    ),
    # Whoever opens the address that `sojourn up` prints finds what can be asked.
    Door(
        method="GET",
        path="/",
        handler=show_docs,
        summary="The same page",
        media={"text/html": "A page for people"},
    ),
)


def current_version() -> str:
    try:
        return version("sojourn")
    except PackageNotFoundError:
        return "unknown"
