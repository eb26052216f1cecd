"""Answers with the headers that every answer of SPS has (sps-facts 1.2)."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

#: Of every answer; Content-Type is set beside it.
HEADERS = {"Allow": "GET", "Content-Language": "en"}

_encode = msgspec.json.Encoder().encode


def json_response(value: object, headers: Mapping[str, str] = HEADERS) -> web.Response:
    return web.Response(body=_encode(value) + b"\n", content_type="application/json", headers=headers)


def list_response(rows: bytes, meta: Mapping[str, object]) -> web.Response:
    """``rows``: JSON texts with commas between. Members of meta stand in the order of their names."""
    body = b'{"items":[' + rows + b'],"meta":' + _encode(dict(sorted(meta.items()))) + b"}\n"
    return web.Response(body=body, content_type="application/json", headers=HEADERS)


def items_response(items: list[object], meta: Mapping[str, object]) -> web.Response:
    return json_response({"items": items, "meta": dict(sorted(meta.items()))})


def object_response(row: bytes, meta: Mapping[str, object]) -> web.Response:
    """``row``: the JSON text of an object, which gets the member meta."""
    body = row.removesuffix(b"}") + b',"meta":' + _encode(meta) + b"}\n"
    return web.Response(body=body, content_type="application/json", headers=HEADERS)


def csv_response(rows: bytes, name: str, meta: Mapping[str, object]) -> web.Response:
    """A table has no meta: the page that follows is in the header Link."""
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    if meta["next"] is not None:
        headers["Link"] = f'<{meta["next"]}>; rel="next"'
    return web.Response(body=rows, content_type="text/csv", charset="utf-8", headers=headers)
