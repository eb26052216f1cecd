"""Lists of sessions that stay as they were, for paging further than ten thousand (sps-facts 1.5)."""

import hashlib
from typing import Any

import msgspec
from aiohttp import web

from query_api.auth.login import remaining_seconds
from query_api.auth.principal import principal_of
from query_api.dialects.sps import answers, csv_rows, links, request
from query_api.dialects.sps.paths import AUDIT, SESSIONS_PATH
from query_api.dialects.sps.request import Parameters
from query_api.dialects.sps.sessions import CHOOSING, Asked, echoed, ordered, shape_of, understood
from query_api.dialects.sps.snapshot_store import LARGEST, PER_USER, Snapshot, SnapshotStore
from query_api.errors import BadRequestError, NotFoundError, TooManyRequestsError
from query_api.keys import reader_of, writer_of
from query_api.listing import rows_by_keys
from query_api.sources import ALL_SESSIONS, SESSIONS

PATH = f"{SESSIONS_PATH}/_snapshot"
#: What chooses a snapshot's sessions, by the first list with it; later ones may say the same again, or nothing.
_CHOOSING = (*CHOOSING, "sort")
#: Rows of a page stand as their keys do.
_AS_KEYS = "indexOf(arrayZip({k0:Array(String)}, {k1:Array(String)}), (toString(sensor), session_id)) ASC"


async def snapshot(http: web.Request) -> web.Response:
    """GET /api/audit/sessions/_snapshot: the id of a new one."""
    store = _store(http)
    user = principal_of(http).name
    if await store.live(user) >= PER_USER:
        raise TooManyRequestsError(
            f"{user} has {PER_USER} snapshots already; each ends five minutes after its last use", retry_after=60
        )
    await store.drop_ended()
    made = await store.make(user, _bound_to(http))
    meta = {"href": PATH, "parent": SESSIONS_PATH, "remaining_seconds": remaining_seconds(http)}
    return answers.json_response({"body": {"snapshot": made.snapshot}, "key": "snapshot", "meta": meta})


async def page(http: web.Request, given: Parameters) -> web.Response:
    """GET /api/audit/sessions?snapshot=: a page of it; ``meta.next`` leads to the next until it is null."""
    asked = understood(given)
    limit = request.window(given, request.LIMIT).limit
    after = request.whole_number(given, "search_after", 0, 0)
    store = _store(http)
    found = await store.find(given["snapshot"], principal_of(http).name, _bound_to(http))
    if found is None:
        raise NotFoundError("there is no such snapshot; it ends five minutes after its last use")
    filled = await _filled(store, found, asked, given)
    await store.renew(filled)
    last, keys = await store.keys(filled, min(after, LARGEST), limit)
    rows = b""
    shape = shape_of(asked)
    if keys[0]:
        source = msgspec.structs.replace(ALL_SESSIONS, by=_AS_KEYS)
        rows = await rows_by_keys(reader_of(http), source, keys, shape)
    meta = _meta(http, given, asked, limit, after, last if last < filled.sessions else 0)
    if isinstance(shape, csv_rows.CsvShape):
        return answers.csv_response(csv_rows.header(shape) + rows, "sessions.csv", meta)
    return answers.list_response(rows, meta)


async def _filled(store: SnapshotStore, found: Snapshot, asked: Asked, given: Parameters) -> Snapshot:
    """The snapshot with its sessions: chosen now, by the first list with it. Raises BadRequestError."""
    choice = {name: given[name] for name in _CHOOSING if given.get(name)}
    if not found.filled:
        text = msgspec.json.encode(choice).decode()
        found = await store.fill(found, ordered(SESSIONS, asked.order), asked.filter, text)
        if found.sessions > LARGEST:
            await store.drop(found.snapshot)
            await store.mark(msgspec.structs.replace(found, filled=False, sessions=0, asked=""))
            raise BadRequestError(f"there are more than {LARGEST} sessions to keep; choose fewer with start and q")
        return found
    first: dict[str, Any] = msgspec.json.decode(found.asked)
    for name, value in choice.items():
        if first.get(name, "") != value:
            raise BadRequestError(f"{name} is not as in the first list of this snapshot", field=name)
    return found


def _meta(http: web.Request, given: Parameters, asked: Asked, limit: int, after: int, last: int) -> dict[str, object]:
    """Exactly these members (sps-facts 1.2); ``last``: place of the page's last session, 0 when none follows."""
    following = {
        "limit": str(limit),
        **echoed(given),
        "snapshot": given["snapshot"],
        "search_after": str(last),
    }
    return {
        "fields": asked.names,
        "first": None,
        "href": SESSIONS_PATH,
        "last": None,
        "limit": limit,
        "next": links.link(SESSIONS_PATH, following) if last else None,
        "parent": AUDIT,
        "previous": None,
        "remaining_seconds": remaining_seconds(http),
        "search_after": after or None,
    }


def _store(http: web.Request) -> SnapshotStore:
    return SnapshotStore(reader_of(http), writer_of(http))


def _bound_to(http: web.Request) -> str:
    """A snapshot is for one user at one address with one User-Agent (sps-facts 1.5)."""
    parts = [principal_of(http).name, http.remote or "", http.headers.get("User-Agent", "")]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
