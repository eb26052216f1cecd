"""The doors of NetAlertX's API."""

from aiohttp import web

from query_api.dialects.netalertx import described as of
from query_api.dialects.netalertx import devices, reading, writing
from query_api.openapi.doors import Door, Handler
from query_api.writes import KEY_DESCRIBED

#: Words that stand where an address could: they are never one (hard-questions: whose path is it).
_RESERVED = "list|calendar|session-events|totals|create|delete|stream"

DOORS = (
    Door(
        method="POST",
        path="/sessions/create",
        handler=writing.create,
        summary="Create a session of a device",
        body=of.NetAlertXCreate,
        check_body=False,
        answer=of.NetAlertXWritten,
        headers=KEY_DESCRIBED,
        writes=True,
    ),
    Door(
        method="DELETE",
        path="/sessions/delete",
        handler=writing.delete,
        summary="Delete all sessions of a device",
        body=of.NetAlertXDelete,
        check_body=False,
        answer=of.NetAlertXWritten,
        headers=KEY_DESCRIBED,
        writes=True,
    ),
    Door(
        method="GET",
        path="/sessions/list",
        handler=reading.session_list,
        summary="Sessions of devices, newest first",
        query=of.NetAlertXListQuery,
        check_query=False,
        answer=of.NetAlertXSessions,
    ),
    Door(
        method="GET",
        path="/sessions/calendar",
        handler=reading.session_calendar,
        summary="Sessions as events of a calendar",
        query=of.NetAlertXCalendarQuery,
        check_query=False,
        answer=of.NetAlertXCalendar,
    ),
    Door(
        method="GET",
        path="/sessions/session-events",
        handler=reading.session_events,
        summary="Events of devices, or their sessions, as rows of a table",
        query=of.NetAlertXEventsQuery,
        check_query=False,
        answer=of.NetAlertXEvents,
    ),
    Door(
        method="GET",
        path="/sessions/totals",
        handler=reading.totals,
        summary="How many rows each type of session-events has",
        query=of.NetAlertXPeriodQuery,
        check_query=False,
        answer=of.NetAlertXTotals,
    ),
    Door(
        method="GET",
        path=f"/sessions/{{mac:(?!(?:{_RESERVED})$)[^/]+}}",
        handler=reading.device_sessions,
        summary="Sessions of one device, newest first",
        query=of.NetAlertXPeriodQuery,
        check_query=False,
        answer=of.NetAlertXDeviceSessions,
    ),
    Door(
        method="GET",
        path="/devices/by-status",
        handler=devices.by_status,
        summary="Devices, by name",
        query=of.NetAlertXStatusQuery,
        check_query=False,
        answer=list[of.NetAlertXDevice],
    ),
    Door(
        method="GET",
        path="/devices/totals",
        handler=devices.totals,
        summary="How many devices there are of each status",
        answer=of.NetAlertXTotals,
    ),
)


def options() -> list[web.RouteDef]:
    """OPTIONS of every path: what may be done there, for anybody (netalertx-facts 1.0)."""
    methods: dict[str, list[str]] = {}
    for door in DOORS:
        methods.setdefault(door.path, ["OPTIONS"]).append(door.method)
    return [web.options(path, _allowing(", ".join(sorted(names)))) for path, names in methods.items()]


def _allowing(methods: str) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(headers={"Allow": methods})

    return handle
