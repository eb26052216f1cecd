"""Where rows come from: the two tables as readers see them, in the order of pages."""

from query_api.sql import Source

#: Newest first; ties are broken by the position in the log, which no two rows share.
EVENTS = Source(
    table="events",
    time="time",
    ties="_epoch DESC, _topic DESC, _partition DESC, _offset DESC, _index DESC",
)


def _sessions(always: str) -> Source:
    return Source(
        table="sessions",
        final=True,
        always=always,
        time="page_time",
        until="greatest(last_activity_at, ifNull(ended_at, last_activity_at))",
        ties="sensor DESC, session_id DESC",
        keys=("sensor", "session_id"),
    )


#: One row per session as it stands now; the same rows as the view sessions_current.
SESSIONS = _sessions("NOT removed AND NOT held")
#: Those that were removed, and both; a session whose opening moved left a row behind that nobody removed.
REMOVED_SESSIONS = _sessions("removed AND NOT held AND NOT has(flags, 'replaced')")
ALL_SESSIONS = _sessions("NOT held AND NOT has(flags, 'replaced')")
