"""Writing an answer with rows: a page at once, everything as a stream that is whole or visibly broken."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import msgspec
import structlog
from aiohttp import web

from query_api.errors import ApiError, RequestTimeoutError

log = structlog.get_logger()

JSON = "application/json"
#: Seconds a client has to take a piece of a stream, of some 64 KiB.
READER_SECONDS = 30.0


def page_response(head: Mapping[str, object], member: str, rows: bytes) -> web.Response:
    """``head``'s members, then the rows under ``member``."""
    body = _opened(head, member) + (b"\n" + rows + b"\n" if rows else b"") + b"]}\n"
    return web.Response(body=body, content_type=JSON)


async def stream_response(
    request: web.Request,
    head: Mapping[str, object],
    member: str,
    rows: AsyncIterator[bytes],
    tail: Mapping[str, object],
) -> web.StreamResponse:
    """As ``page_response``, of unknown length, with ``tail``'s members at the end.

    Where reading fails the connection is torn down without the last chunk: no client takes half for whole.
    """
    response = web.StreamResponse(headers={"Content-Type": JSON})
    await response.prepare(request)
    try:
        await write(response, _opened(head, member) + b"\n")
        async for chunk in rows:
            await write(response, chunk)
    except ApiError as error:
        log.error("answer broken off", path=request.path, error=error.message)
        if request.transport is not None:
            request.transport.abort()
        raise
    end = b"]" + b"".join(b"," + _text(name) + b":" + _text(value) for name, value in tail.items()) + b"}\n"
    await response.write(b"\n" + end)
    await response.write_eof()
    return response


async def write(response: web.StreamResponse, chunk: bytes) -> None:
    """A piece of a stream. Raises RequestTimeoutError when the client does not take it: it holds a place meanwhile."""
    try:
        async with asyncio.timeout(READER_SECONDS):
            await response.write(chunk)
    except TimeoutError:
        raise RequestTimeoutError(f"the client took nothing for {READER_SECONDS:.0f} s") from None


def _opened(head: Mapping[str, object], member: str) -> bytes:
    members = b"".join(_text(name) + b":" + _text(value) + b"," for name, value in head.items())
    return b"{" + members + _text(member) + b":["


def _text(value: object) -> bytes:
    return msgspec.json.encode(value)
