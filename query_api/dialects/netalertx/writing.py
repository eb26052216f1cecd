"""POST and DELETE: records on Kafka like those of any sensor, answered when reads show what they did."""

import time
from zoneinfo import ZoneInfo

from aiohttp import web

from producers.formats.netalertx import NETALERTX
from producers.writes import Write, remove_device, write_of
from query_api.answers import JSON
from query_api.auth.principal import Principal, principal_of
from query_api.dialects.netalertx.asked import NORMAL_MAC
from query_api.dialects.netalertx.body import Creation, creation, deletion, members
from query_api.errors import ConflictError, ForbiddenError
from query_api.keys import SETTINGS, reader_of
from query_api.sql import Statement
from query_api.writes import WRITES, Change, request_id
from schemas.records import Action, Connection, normal_mac

_MOMENT = "fromUnixTimestamp64Micro({moment:Int64}, 'UTC')"


async def create(request: web.Request) -> web.Response:
    """One record: ``complete`` when it has an end, which pairs with nothing, else ``connect``."""
    asked = creation(await members(request), ZoneInfo(request.app[SETTINGS].netalertx.timezone))
    principal = principal_of(request)
    if not principal.sees(NETALERTX):
        raise ForbiddenError(f"sessions are created for the sensor {NETALERTX}, which {principal.name} may not see")
    name = await request_id(request)
    reader = reader_of(request)
    if asked.end is None and await reader.number(_deleted(asked)):
        raise ConflictError("the session of this device that began at start_time was deleted, and stays so")
    change = Change((_record(asked, name),), _created(asked, name))
    is_visible = await request.app[WRITES].make(change, reader, request)
    return _answered(f"Session created for MAC {asked.mac}", is_visible)


async def delete(request: web.Request) -> web.Response:
    """All sessions of a device; also where there are none."""
    mac = deletion(await members(request))
    _demand_all_sensors(principal_of(request))
    name = await request_id(request)
    now = time.time_ns() // 1000
    change = Change((remove_device(NETALERTX, mac.strip(), name, now),), _gone(mac, now))
    is_visible = await request.app[WRITES].make(change, reader_of(request), request)
    return _answered(f"Deleted sessions for MAC {mac}", is_visible)


def _demand_all_sensors(principal: Principal) -> None:
    """The record removes sessions of a device whichever sensor saw it: one that is hidden from somebody, too."""
    if principal.sensors is not None:
        raise ForbiddenError(f"sessions of all sensors would be deleted, and {principal.name} may not see all of them")


def _record(asked: Creation, name: str) -> Write:
    if asked.end is None:
        return write_of(
            Connection(
                action=Action.CONNECT,
                sensor=NETALERTX,
                time=asked.start,
                mac=asked.mac.strip(),
                client_ip=asked.ip,
                kind=asked.connected,
                record_id=name,
            )
        )
    return write_of(
        Connection(
            action=Action.COMPLETE,
            sensor=NETALERTX,
            time=asked.end,
            started=asked.start,
            ended=asked.end,
            mac=asked.mac.strip(),
            client_ip=asked.ip,
            kind=asked.connected,
            disconnect_kind=asked.disconnected,
            record_id=name,
        )
    )


def _created(asked: Creation, name: str) -> Statement:
    """Whether the record has made a session; a ``connect`` may have met one that began at the same moment."""
    met = f" OR started_at = {_MOMENT}" if asked.end is None else ""
    return Statement(
        f"SELECT count() FROM sessions FINAL WHERE {NORMAL_MAC} = {{mac:String}} AND (opened_by = {{id:String}}{met})",  # noqa: S608
        {"mac": normal_mac(asked.mac.strip()), "id": name, **({"moment": asked.start} if met else {})},
    )


def _deleted(asked: Creation) -> Statement:
    """How many sessions the device had that began at this moment and were deleted; one is known by its start alone."""
    return Statement(
        f"SELECT count() FROM sessions FINAL WHERE {NORMAL_MAC} = {{mac:String}} AND started_at = {_MOMENT}"  # noqa: S608
        " AND removed AND end_reason != 'complete' AND NOT has(flags, 'replaced')",
        {"mac": normal_mac(asked.mac.strip()), "moment": asked.start},
    )


def _gone(mac: str, asked_at: int) -> Statement:
    """Whether nothing is shown any more of what the device had when this was asked for."""
    return Statement(
        f"SELECT count() = 0 FROM sessions FINAL WHERE {NORMAL_MAC} = {{mac:String}}"  # noqa: S608
        f" AND NOT removed AND NOT held AND created_at <= {_MOMENT}",
        {"mac": normal_mac(mac.strip()), "moment": asked_at},
    )


def _answered(message: str, is_visible: bool) -> web.Response:
    pending = {} if is_visible else {"pending": True}
    body = {"success": True, "message": message, **pending}
    return web.json_response(body, status=200 if is_visible else 202, content_type=JSON)
