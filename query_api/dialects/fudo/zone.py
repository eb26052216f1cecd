"""The zone of the times that Fudo's API shows."""

from zoneinfo import ZoneInfo

from aiohttp import web

from query_api.keys import SETTINGS


def zone_of(request: web.Request) -> ZoneInfo:
    """The setting fudo.timezone; the settings were checked when they were loaded."""
    return ZoneInfo(request.app[SETTINGS].fudo.timezone)
