"""Where clients begin: the entry points, and what this server is (sps-facts 1.1, 1.2)."""

import socket
from importlib.metadata import version

from aiohttp import web

from query_api.auth.login import remaining_seconds
from query_api.auth.principal import principal_of
from query_api.dialects.sps import answers
from query_api.dialects.sps.paths import API, AUDIT, SESSIONS_PATH

#: What living clients ask for before they go on (hard-questions: TLS and versions).
FIRMWARE = "8.0.0"

_ENTRY_POINTS = ("audit", "authentication", "info")
#: What there is beside the sessions themselves; stats and histogram need to be told a property.
_OF_SESSIONS = ("_count", "_snapshot", "histogram", "stats")


async def api(http: web.Request) -> web.Response:
    """GET /api."""
    return _links(http, API, None, {name: f"{API}/{name}" for name in _ENTRY_POINTS})


async def audit(http: web.Request) -> web.Response:
    """GET /api/audit."""
    below = {f"sessions/{name}": f"{SESSIONS_PATH}/{name}" for name in _OF_SESSIONS}
    return _links(http, AUDIT, API, {"sessions": SESSIONS_PATH, **below})


async def info(http: web.Request) -> web.Response:
    """GET /api/info: a little for everybody, the versions for those who are logged in."""
    principal = principal_of(http)
    name = socket.gethostname()
    host, _, domain = name.partition(".")
    body: dict[str, object] = {
        "domainname": domain,
        "hostname": host,
        "nickname": None,
        "plugin_sdk_version": "",
        "support_link": "",
    }
    meta: dict[str, object] = {"href": f"{API}/info", "parent": API}
    if principal.scopes:
        body |= {
            "analytics_enabled": False,
            "build_date": None,
            "config_hash": None,
            "firmware_version": FIRMWARE,
            "roles": sorted(principal.scopes),
            "version": f"Sojourn {version('sojourn')}",
        }
        meta["remaining_seconds"] = remaining_seconds(http)
    return answers.json_response({"body": body, "key": "about_info", "meta": meta})


def _links(http: web.Request, href: str, parent: str | None, items: dict[str, str]) -> web.Response:
    listed: list[object] = [{"key": key, "meta": {"href": path}} for key, path in items.items()]
    meta = {"href": href, "parent": parent, "remaining_seconds": remaining_seconds(http)}
    return answers.items_response(listed, meta)
