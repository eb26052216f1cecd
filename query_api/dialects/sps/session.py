"""One session by its key, whole (sps-sessions.txt)."""

from aiohttp import web

from query_api.auth.login import remaining_seconds
from query_api.dialects.sps import answers
from query_api.dialects.sps.body import item_shape
from query_api.dialects.sps.found import key_filter, no_session
from query_api.dialects.sps.paths import SESSIONS_PATH, session_path
from query_api.dialects.sps.session_fields import PRESENT, SESSION
from query_api.keys import reader_of
from query_api.listing import Listing, read_rows
from query_api.paging import Slice
from query_api.sources import SESSIONS

_LISTED = [field for field in SESSION.fields.values() if field.listed]
_SHAPE = item_shape(_LISTED, PRESENT)


async def session(http: web.Request) -> web.Response:
    """GET /api/audit/sessions/<id>."""
    session_id = http.match_info["id"]
    listing = Listing(source=SESSIONS, shape=_SHAPE, filter=key_filter(session_id))
    row = await read_rows(reader_of(http), listing, Slice(1))
    if not row:
        raise no_session()
    meta = {
        "href": session_path(session_id),
        "parent": SESSIONS_PATH,
        "remaining_seconds": remaining_seconds(http),
    }
    return answers.object_response(row, meta)
