"""Every door of the dialect. Paths with a fixed last part stand before those with a session's id."""

from typing import Any

import msgspec

from query_api.dialects.sps import (
    aggregates,
    asked,
    authentication,
    channels,
    downloads,
    entry,
    events,
    indexing,
    session,
    sessions,
    snapshots,
)
from query_api.dialects.sps import described as d
from query_api.dialects.sps.paths import API, AUDIT, SESSIONS_PATH
from query_api.dialects.sps.sessions_list import sessions_list
from query_api.openapi.doors import Door, Handler

_LOGIN = authentication.PATH
_ONE = SESSIONS_PATH + "/{id}"
_CSV = {"text/csv": "With format=csv: a line of names, then a line for each session"}
_TRAIL = {"application/octet-stream": "JSON lines: the events of the session, as sojourn produce reads them"}


def _get(
    path: str, handler: Handler, summary: str, answer: Any, query: type[msgspec.Struct] | None = None, **more: Any
) -> Door:
    return Door(method="GET", path=path, handler=handler, summary=summary, answer=answer, query=query, **more)


DOORS = (
    _get(API, entry.api, "Entry points", d.SpsEntries),
    _get(f"{API}/info", entry.info, "What this server is", d.SpsInfo),
    _get(
        _LOGIN,
        authentication.login,
        "Log in with Basic; the cookie",
        d.SpsAuthentication,
        asked.LoginQuery,
        logs_in=True,
    ),
    Door(
        method="DELETE",
        path=_LOGIN,
        handler=authentication.logout,
        summary="Log out",
        answer=d.SpsAuthentication,
    ),
    _get(f"{_LOGIN}/login_methods", authentication.login_methods, "Ways to log in", d.SpsLoginMethods),
    _get(f"{_LOGIN}/types", authentication.types, "Ways to log in, for older clients", d.SpsLoginTypes),
    _get(AUDIT, entry.audit, "What can be searched", d.SpsEntries),
    _get(SESSIONS_PATH, sessions_list, "Sessions", d.SpsSessions, asked.SessionsQuery, media=_CSV),
    _get(f"{SESSIONS_PATH}/_count", sessions.count, "How many sessions", d.SpsCount, asked.Choosing),
    _get(snapshots.PATH, snapshots.snapshot, "A list of sessions that stays as it is", d.SpsSnapshot),
    _get(f"{SESSIONS_PATH}/stats", aggregates.stats, "Most frequent values", d.SpsCounted, asked.StatsQuery),
    _get(f"{SESSIONS_PATH}/histogram", aggregates.histogram, "Sessions in bins", d.SpsCounted, asked.HistogramQuery),
    _get(_ONE, session.session, "A session", d.SpsSession),
    _get(f"{_ONE}/events", events.events, "Events of a session", d.SpsEvents, asked.EventsQuery),
    _get(f"{_ONE}/alerts", events.alerts, "Events that met a rule", d.SpsAlerts, asked.EventsQuery),
    _get(f"{_ONE}/content", events.content, "Search in a session", d.SpsEvents, asked.EventsQuery),
    # The document writes this one with a slash at its end, and the next in three ways.
    _get(f"{_ONE}/content/", events.content, "Search in a session", d.SpsEvents, asked.EventsQuery),
    *(
        _get(f"{_ONE}/{name}", indexing.indexing, "How it was taken in", d.SpsIndexing, asked.PartQuery)
        for name in ("indexing", "indexer", "indexers")
    ),
    _get(f"{_ONE}/channels", channels.channels, "Channels of a session", d.SpsChannels, asked.PartQuery),
    _get(_ONE + "/channels/{channel}", channels.channel, "A channel", d.SpsChannel),
    _get(f"{_ONE}/audit_trail", downloads.audit_trail, "The records of a session", None, media=_TRAIL),
    _get(f"{_ONE}/trail_downloads", downloads.trail_downloads, "Who had them", d.SpsDownloads, asked.PartQuery),
)
