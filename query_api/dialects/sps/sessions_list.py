"""GET /api/audit/sessions: by offset, or through a snapshot."""

from aiohttp import web

from query_api.dialects.sps import request, sessions, snapshots

_NAMES = ("q", "content", "start", "end", "fields", "sort", "limit", "offset", "format", "snapshot", "search_after")


async def sessions_list(http: web.Request) -> web.Response:
    given = request.parameters(http, _NAMES)
    return await (snapshots.page if given.get("snapshot") else sessions.page)(http, given)
