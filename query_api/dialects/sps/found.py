"""The session that a path names, and which events are its own."""

import msgspec
from aiohttp import web

from query_api.errors import NotFoundError
from query_api.filters import Filter
from query_api.keys import reader_of
from query_api.listing import Listing, read_rows
from query_api.paging import Slice
from query_api.shapes import Member, Shape
from query_api.sources import SESSIONS
from schemas.records import FLOW_LOGGED_LATE, is_flow_key

#: A key of a sensor, a protocol and a process, or of a flow.
_PROCESS_PARTS = 3


class Found(msgspec.Struct, frozen=True):
    """Columns of a session's row; times are microseconds since 1970 UTC."""

    sensor: str
    session_id: str
    key: str
    state: str
    started_at: int | None
    ended_at: int | None
    last_activity_at: int
    protocol: str
    client_ip: str
    client_port: int
    mac: str
    event_count: int

    @property
    def parts(self) -> list[str]:
        """What its key is made of, where the sensor does not name its sessions; empty where it does."""
        if self.key in ("", _encode([self.sensor, self.session_id]).decode()):
            return []
        return _parts(self.key)


_SHAPE = Shape(
    tuple(
        Member(name, f"toUnixTimestamp64Micro({name})" if name.endswith("_at") else name)
        for name in Found.__struct_fields__
    )
)
_encode = msgspec.json.Encoder().encode
_parts = msgspec.json.Decoder(list[str]).decode
_decode = msgspec.json.Decoder(Found).decode


def key_filter(session_id: str) -> Filter:
    return Filter("session_id = {id:String}", {"id": session_id})


async def find(http: web.Request) -> Found:
    """The session of the path; of two sensors' with one id the one that began last. Raises NotFoundError."""
    chosen = key_filter(http.match_info["id"])
    row = await read_rows(reader_of(http), Listing(source=SESSIONS, shape=_SHAPE, filter=chosen), Slice(1))
    if not row:
        raise no_session()
    return _decode(row)


def no_session() -> NotFoundError:
    return NotFoundError("there is no such session")


def events_of(session: Found) -> Filter:
    """The events of a session: those with its id, or those of its process or between its ends while it lasted."""
    parts = session.parts
    if not parts:
        return Filter(
            "sensor = {sensor:String} AND session_id = {id:String}",
            {"sensor": session.sensor, "id": session.session_id},
        )
    start = session.last_activity_at if session.started_at is None else session.started_at
    values: dict[str, int | str] = {"from": start, "until": session.ended_at or session.last_activity_at}
    if len(parts) == _PROCESS_PARTS:
        # What the process or flow said meanwhile: not all of it names the two ends.
        late = FLOW_LOGGED_LATE if is_flow_key(session.key) else 0
        return Filter(
            "sensor = {sensor:String} AND JSONExtractString(connection, 'process') = {process:String}"
            " AND time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')"
            " AND time <= fromUnixTimestamp64Micro({until:Int64}, 'UTC')",
            {"sensor": session.sensor, "process": parts[2], **values, "until": int(values["until"]) + late},
        )
    while_it_lasted = (
        "session_id = '' AND time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')"
        " AND time <= fromUnixTimestamp64Micro({until:Int64}, 'UTC')"
    )
    if len(parts) == 1:
        mac = "replaceRegexpAll(lower(mac), '[-:.]', '') = {mac:String}"
        return Filter(f"{mac} AND {while_it_lasted}", {"mac": parts[0], **values})
    ends = "sensor = {sensor:String} AND client_ip = {client:String} AND client_port = {port:UInt16}"
    return Filter(
        f"{ends} AND {while_it_lasted}",
        {"sensor": session.sensor, "client": session.client_ip, "port": session.client_port, **values},
    )
