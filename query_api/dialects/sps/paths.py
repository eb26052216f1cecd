"""Paths that links lead to."""

from urllib.parse import quote

API = "/api"
AUDIT = "/api/audit"
SESSIONS_PATH = "/api/audit/sessions"


def session_path(session_id: str) -> str:
    """As ClickHouse's encodeURLComponent writes it: an id is one segment, whatever it has in it."""
    return f"{SESSIONS_PATH}/{quote(session_id, safe='-_.!~*()')}"
