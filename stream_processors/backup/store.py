"""What an export reads of ClickHouse: a session, its events, which backups are not done. Blocks: run in a thread."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from producers.writes import Target
from schemas.backups import PREFIX
from schemas.records import FLOW_LOGGED_LATE, is_flow_key
from schemas.settings import ClickHouse

#: What reading may raise while ClickHouse is away or ends in the middle of an answer.
UNAVAILABLE = (ClickHouseError, HTTPError, OSError, msgspec.DecodeError)

_CHUNK = 1 << 20
_JSON = {"output_format_json_quote_64bit_integers": 0, "output_format_json_escape_forward_slashes": 0}
_LIMITS = {"max_execution_time": 600, "max_memory_usage": 2 << 30}

_OF_SESSION = (
    "SELECT * EXCEPT (key, positions, held, ingested_at) FROM sessions FINAL"
    " WHERE sensor = {sensor:String} AND session_id = {id:String}"
)
_STATE = (
    "SELECT state, has(requests, {request:String}), toUnixTimestamp64Micro(coalesce(started_at, last_activity_at)),"
    " toUnixTimestamp64Micro(last_activity_at), client_ip, client_port, event_count"
    " FROM sessions FINAL WHERE sensor = {sensor:String} AND session_id = {id:String}"
)
_MEANWHILE = (
    "time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Micro({until:Int64}, 'UTC')"
)
_LASTED = "session_id = '' AND " + _MEANWHILE
#: By what a session's key says: its events carry its id, or they are those of device, process or two ends meanwhile.
_OF_ID = "sensor = {sensor:String} AND session_id = {id:String}"
_OF_DEVICE = "replaceRegexpAll(lower(mac), '[-:.]', '') = {mac:String} AND " + _LASTED
_OF_ENDS = "sensor = {sensor:String} AND client_ip = {client:String} AND client_port = {port:UInt16} AND " + _LASTED
_OF_PROCESS = (
    "sensor = {sensor:String} AND JSONExtractString(connection, 'process') = {process:String} AND " + _MEANWHILE
)
_EVENTS = (
    "SELECT * EXCEPT (ingested_at, _epoch, _topic, _partition, _offset, _index) FROM events WHERE {} "
    "ORDER BY time, _epoch, _topic, _partition, _offset, _index"
)
_COUNT = "SELECT count() FROM events WHERE {}"
#: Those whose request was lost with a log that began anew, and those that were open when they were exported.
_UNDONE = (
    "SELECT sensor, session_id, key FROM sessions FINAL WHERE mapContains(attributes, {name:String}) AND NOT held"
    " AND (JSONExtractString(attributes[{name:String}], 'state') = 'partial' AND state != 'open'"
    " OR JSONExtractString(attributes[{name:String}], 'state') = 'requested'"
    " AND parseDateTime64BestEffortOrZero(JSONExtractString(attributes[{name:String}], 'at'), 6, 'UTC') < now() - 60)"
    " LIMIT {most:UInt32}"
)


class Seen(msgspec.Struct, frozen=True):
    """A session as it stands. ``marked``: it carries the request that was asked for."""

    is_open: bool
    marked: bool
    #: How many events it has, stored or still on their way.
    event_count: int
    #: Condition for its events, and the values of its parameters.
    events: str
    parameters: dict[str, Any]


class Store:
    """One client; not for several threads at once."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._client: Client | None = None

    def seen(self, target: Target, request_id: str) -> Seen | None:
        """None when there is no such session. Raises one of UNAVAILABLE."""
        parameters = {"sensor": target.sensor, "id": target.session_id, "request": request_id}
        rows = self._connected().query(_STATE, parameters=parameters).result_rows
        if not rows:
            return None
        state, marked, start, end, client, port, event_count = rows[0]
        condition, values = _events_of(target, start, end, client, port)
        return Seen(state == "open", bool(marked), event_count, condition, values)

    def stored_events(self, seen: Seen) -> int:
        """How many of its events are stored by now. Raises one of UNAVAILABLE."""
        rows = self._connected().query(_COUNT.format(seen.events), parameters=seen.parameters).result_rows
        return int(rows[0][0])

    def undone(self, place: str, most: int) -> list[Target]:
        """Sessions whose backup to a place can be finished now. Raises one of UNAVAILABLE."""
        rows = self._connected().query(_UNDONE, parameters={"name": PREFIX + place, "most": most}).result_rows
        return [Target(sensor, session_id, key) for sensor, session_id, key in rows]

    def write_session(self, target: Target, format: str, file: Path) -> None:
        """The session's row, in a format of ClickHouse. Raises one of UNAVAILABLE."""
        self._write(_OF_SESSION, {"sensor": target.sensor, "id": target.session_id}, format, file)

    def write_events(self, seen: Seen, format: str, file: Path) -> None:
        """Its events in the order of time. Raises one of UNAVAILABLE."""
        self._write(_EVENTS.format(seen.events), seen.parameters, format, file)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _write(self, query: str, parameters: dict[str, Any], format: str, file: Path) -> None:
        settings = {**_LIMITS, **_JSON, "http_wait_end_of_query": 1}
        with (
            self._connected().raw_stream(query, parameters=parameters, settings=settings, fmt=format) as answer,
            file.open("wb") as copy,
        ):
            while chunk := answer.read(_CHUNK):
                copy.write(chunk)

    def _connected(self) -> Client:
        if self._client is None:
            store = self._clickhouse
            self._client = clickhouse_connect.get_client(
                dsn=store.url,
                username=store.writer,
                password=store.writer_password,
                database=store.database,
                connect_timeout=3,
                send_receive_timeout=660,
                autogenerate_session_id=False,
            )
        return self._client


_parts = msgspec.json.Decoder(list[str]).decode


def _events_of(target: Target, start: int, end: int, client: str, port: int) -> tuple[str, dict[str, Any]]:
    parts: Sequence[str] = _parts(target.key) if target.key else (target.sensor, target.session_id)
    if len(parts) == 2:
        return _OF_ID, {"sensor": target.sensor, "id": target.session_id}
    lasted = {"from": start, "until": end}
    if len(parts) == 3:
        late = FLOW_LOGGED_LATE if is_flow_key(target.key) else 0
        return _OF_PROCESS, {"sensor": target.sensor, "process": parts[2], "from": start, "until": end + late}
    if len(parts) == 1:
        return _OF_DEVICE, {"mac": parts[0], **lasted}
    return _OF_ENDS, {"sensor": target.sensor, "client": client, "port": port, **lasted}
