"""The REST API of One Identity Safeguard for Privileged Sessions (reference: sps-sessions.txt, sps-facts.md)."""

from aiohttp import web

from query_api.dialects.sps import (
    aggregates,
    authentication,
    channels,
    entry,
    events,
    indexing,
    session,
    sessions,
    snapshots,
)
from query_api.dialects.sps.paths import API, AUDIT, SESSIONS_PATH
from query_api.dialects.sps.sessions_list import sessions_list

_ONE = SESSIONS_PATH + "/{id}"


def routes() -> list[web.RouteDef]:
    """Paths with a fixed last part stand before those with a session's id."""
    doors = {
        API: entry.api,
        f"{API}/info": entry.info,
        authentication.PATH: authentication.login,
        f"{authentication.PATH}/login_methods": authentication.login_methods,
        f"{authentication.PATH}/types": authentication.types,
        AUDIT: entry.audit,
        SESSIONS_PATH: sessions_list,
        f"{SESSIONS_PATH}/_count": sessions.count,
        snapshots.PATH: snapshots.snapshot,
        f"{SESSIONS_PATH}/stats": aggregates.stats,
        f"{SESSIONS_PATH}/histogram": aggregates.histogram,
        _ONE: session.session,
        f"{_ONE}/events": events.events,
        f"{_ONE}/alerts": events.alerts,
        f"{_ONE}/content": events.content,
        f"{_ONE}/content/": events.content,
        f"{_ONE}/channels": channels.channels,
        _ONE + "/channels/{channel}": channels.channel,
        # The document spells it in three ways on one page.
        f"{_ONE}/indexing": indexing.indexing,
        f"{_ONE}/indexer": indexing.indexing,
        f"{_ONE}/indexers": indexing.indexing,
    }
    return [
        *(web.get(path, handler, allow_head=False) for path, handler in doors.items()),
        web.delete(authentication.PATH, authentication.logout),
    ]
