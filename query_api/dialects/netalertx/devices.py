"""``GET /devices/by-status``: lines for the calendar of all devices. A device is what its sessions say."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from aiohttp import web

from query_api import sql
from query_api.answers import JSON
from query_api.dialects.netalertx import columns as of
from query_api.dialects.netalertx.asked import NORMAL_MAC, given
from query_api.dialects.netalertx.form import Form, form_of
from query_api.dialects.netalertx.names import OWNER, name_else
from query_api.errors import BadRequestError
from query_api.filters import Filter
from query_api.keys import SETTINGS, reader_of
from query_api.shapes import Member, Shape
from query_api.sources import SESSIONS

_WITHIN = (
    f"SELECT argMax(mac, page_time) AS device, {name_else('device')} AS name, {OWNER} AS owner,"  # noqa: S608
    " argMaxIf(client_ip, page_time, client_ip != '') AS ip,"
    f" max({of.STILL_CONNECTED}) AS present, lower(argMax(connect_kind, page_time)) AS began_as,"
    " lower(argMax(disconnect_kind, page_time)) AS ended_as, min(page_time) AS first_seen,"
    " max(last_activity_at) AS last_seen"
    f" FROM sessions FINAL WHERE {SESSIONS.always} AND notEmpty(mac) GROUP BY {NORMAL_MAC}"
)
_DEVICES = msgspec.structs.replace(
    SESSIONS, within=_WITHIN, always="", keys=(), by="name ASC", time="last_seen", ties="device"
)
_NOBODY = Filter("false")
#: The product's words. Nobody marks devices as favorites or puts them away here.
STATUSES: Mapping[str, Filter] = MappingProxyType(
    {
        "all": Filter(),
        "my": Filter(),
        "online": Filter("present"),
        "connected": Filter("present"),
        "offline": Filter("NOT present"),
        "down": Filter("NOT present AND ended_as = 'device down'"),
        "new": Filter("began_as = 'new device'"),
        "favorites": _NOBODY,
        "archived": _NOBODY,
    }
)
_COUNTED = ("all", "connected", "favorites", "new", "down", "archived")


async def by_status(request: web.Request) -> web.Response:
    """An array of devices by name, all of them without a status."""
    status = given(request.rel_url.raw_query_string).get("status", "all")
    if status not in STATUSES:
        raise BadRequestError(f"status must be one of {', '.join(STATUSES)}", field="status")
    shape = _shape(form_of(request.app[SETTINGS].netalertx))
    rows = await reader_of(request).read(sql.rows(_DEVICES, STATUSES[status], shape))
    return web.Response(body=b"[" + rows + b"]\n", content_type=JSON)


async def totals(request: web.Request) -> web.Response:
    """How many devices there are of each status, in the order of the product's page."""
    counted = [f"countIf({STATUSES[name].where or 'true'})" for name in _COUNTED]
    (numbers,) = await reader_of(request).records(sql.one_row(_DEVICES, Filter(), counted))
    return web.json_response(numbers, content_type=JSON)


def _shape(form: Form) -> Shape:
    """``id`` and ``title`` as the product's document has it, and its columns, which its pages read."""
    return Shape(
        (
            Member("id", "device"),
            Member("title", "name"),
            Member("favorite", "0"),
            Member("devMac", "device"),
            Member("devName", "name"),
            Member("devOwner", "owner"),
            Member("devLastIP", "ip"),
            Member("devPresentLastScan", "toUInt8(present)"),
            Member("devFirstConnection", of.raw("first_seen", form)),
            Member("devLastConnection", of.raw("last_seen", form)),
        )
    )
