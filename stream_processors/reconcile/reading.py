"""What ``sojourn reconcile`` reads of ClickHouse. Every function blocks and raises one of UNAVAILABLE."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from schemas.records import Action, Event, Session, normal_mac, session_key
from stream_processors.reconcile.remaking import Stored
from stream_processors.sink.connections import connection_of
from stream_processors.stored_sessions import JSON_SETTINGS, SESSION_COLUMNS, lines_of

_EVENT = """sensor, kind, session_id, mac, protocol, client_ip, client_port, server_ip, server_port, user, token,
    location, category, container_id, record_id, _offset AS offset, _index AS index"""

# A row that was stored later than those behind it in its partition had been missing: it came before them all the same.
_ROWS = f"""
SELECT toUnixTimestamp64Micro(time) AS time, {_EVENT}, connection AS said, _epoch, _topic, _partition,
    toUnixTimestamp64Milli(min(ingested_at) OVER (
        PARTITION BY _epoch, _topic, _partition ORDER BY _offset DESC, _index DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) * 1000 AS arrived
FROM {{database:Identifier}}.events WHERE """  # noqa: S608 - constants of this module only

_ORDER = " ORDER BY arrived, _epoch, _topic, _partition, _offset, _index"

_OF_IDS = "(sensor, session_id) IN (SELECT arrayJoin(arrayZip({sensors:Array(String)}, {names:Array(String)})))"
_OF_DEVICES = "session_id = '' AND replaceRegexpAll(lower(mac), '[-:.]', '') IN {names:Array(String)}"
_OF_ADDRESSES = f"session_id = '' AND mac = '' AND {_OF_IDS.replace('session_id)', 'client_ip)')}"
_OF_PROCESSES = f"""(session_id != '' OR mac = '')
    AND {_OF_IDS.replace("session_id)", "JSONExtractString(connection, 'process'))")}"""
#: Condition of each kind of identity, see Identities.
_CONDITIONS = {"id": _OF_IDS, "device": _OF_DEVICES, "address": _OF_ADDRESSES, "process": _OF_PROCESSES}

# Records of APIs, and starts of sensors, concern more than the key they name.
_WRITES = """connection != '' AND kind = 'other'
    AND JSONExtractString(connection, 'action') IN ('amend', 'remove')"""
_STARTS = "connection != '' AND JSONExtractString(connection, 'action') = 'sensor_start'"

_IN_RANGE = """
SELECT DISTINCT multiIf(session_id != '' AND process != '', 'process', session_id != '', 'id', mac != '', 'device',
        process != '', 'process', 'address') AS kind,
    if(kind = 'device', '', sensor) AS seen_by,
    multiIf(kind = 'id', session_id, kind = 'device', replaceRegexpAll(lower(mac), '[-:.]', ''),
        kind = 'process', process, client_ip) AS name
FROM (SELECT sensor, session_id, mac, client_ip, JSONExtractString(connection, 'process') AS process
    FROM {database:Identifier}.events
    WHERE time >= fromUnixTimestamp64Micro({first:Int64}, 'UTC')
        AND time < fromUnixTimestamp64Micro({last:Int64}, 'UTC')
        AND connection != 'alone' AND JSONExtractString(connection, 'key') = ''
        AND (session_id, mac, client_ip, process) != ('', '', '', ''))"""

_SESSIONS_IN_RANGE = """
SELECT DISTINCT key FROM {database:Identifier}.sessions FINAL
WHERE page_time >= fromUnixTimestamp64Micro({first:Int64}, 'UTC')
    AND page_time < fromUnixTimestamp64Micro({last:Int64}, 'UTC') AND NOT held AND NOT removed"""

_OF_KEYS = f"{SESSION_COLUMNS} FROM {{database:Identifier}}.sessions FINAL WHERE key IN {{keys:Array(String)}}"

_REACHED = """
SELECT sensor, arrayMap(time -> -time, groupArraySorted(3)(-toUnixTimestamp64Micro(time)))
FROM {database:Identifier}.events
WHERE NOT (kind = 'other' AND JSONExtractString(connection, 'action') IN ('amend', 'remove'))
GROUP BY sensor"""

#: Identities read at once; all their records are in memory.
CHUNK = 2000

_decode_event = msgspec.json.Decoder(Event).decode
_decode_session = msgspec.json.Decoder(Session).decode
_decode_key = msgspec.json.Decoder(list[str]).decode


class Identity(msgspec.Struct, frozen=True):
    """What sessions are looked for by: a kind of ``_CONDITIONS``, the sensor (empty for a device), and the name."""

    kind: str
    sensor: str
    name: str


class _Place(msgspec.Struct):
    said: str
    _epoch: str
    _topic: str
    _partition: int
    arrived: int


_decode_place = msgspec.json.Decoder(_Place).decode


def identities(client: Client, database: str, first: int, last: int) -> dict[Identity, set[str]]:
    """Whatever has a record or a session between two times (microseconds UTC, the latter excluded), with the keys of
    those sessions."""
    parameters = {"database": database, "first": first, "last": last}
    found: dict[Identity, set[str]] = {}
    for kind, sensor, name in client.query(_IN_RANGE, parameters=parameters).result_rows:
        found[Identity(kind, sensor, name)] = set()
    for (key,) in client.query(_SESSIONS_IN_RANGE, parameters=parameters).result_rows:
        found.setdefault(identity_of(_decode_key(key)), set()).add(key)
    return found


def identity_of(parts: list[str]) -> Identity:
    """The identity that a session key belongs to."""
    match parts:
        case [mac]:
            return Identity("device", "", mac)
        case [sensor, session_id]:
            return Identity("id", sensor, session_id)
        case [sensor, _, process]:
            return Identity("process", sensor, process)
        case [sensor, _, client, _]:
            return Identity("address", sensor, client.rpartition(":")[0])
    raise ValueError(f"{parts} is no session key")


def records_of(client: Client, database: str, some: Collection[Identity]) -> list[Stored]:
    """All records of some identities, all of one kind, in the order in which they were stored."""
    (kind,) = {one.kind for one in some}
    parameters = {"names": [one.name for one in some], "sensors": [one.sensor for one in some]}
    return list(_records(client, database, _CONDITIONS[kind], parameters))


def writes(client: Client, database: str) -> list[Stored]:
    """All records of APIs."""
    return list(_records(client, database, _WRITES, {}))


def sensor_starts(client: Client, database: str) -> list[Stored]:
    return list(_records(client, database, _STARTS, {}))


def sessions_of(client: Client, database: str, keys: Collection[str]) -> dict[tuple[str, str], Session]:
    """The latest version of every session of some keys, hidden ones too."""
    parameters = {"database": database, "keys": list(keys)}
    with client.raw_stream(_OF_KEYS, parameters=parameters, settings=JSON_SETTINGS, fmt="JSONEachRow") as stream:
        sessions = [_decode_session(line) for line in lines_of(stream)]
    return {(session.sensor, session.session_id): session for session in sessions}


def latest_times(client: Client, database: str) -> dict[str, list[int]]:
    """Per sensor its latest three event times, newest first."""
    rows = client.query(_REACHED, parameters={"database": database}).result_rows
    return {sensor: list(times) for sensor, times in rows}


def key_of(stored: Stored) -> str:
    """Session key of a record; empty for a sensor's start."""
    return "" if stored.record.action is Action.SENSOR_START else session_key(stored.record).decode()


def is_device_removal(stored: Stored) -> bool:
    return (
        stored.record.action is Action.REMOVE and not stored.record.session_id and bool(normal_mac(stored.record.mac))
    )


def _records(client: Client, database: str, condition: str, parameters: Mapping[str, Any]) -> Iterator[Stored]:
    query = _ROWS + condition + _ORDER
    everything = {"database": database, **parameters}
    with client.raw_stream(query, parameters=everything, settings=JSON_SETTINGS, fmt="JSONEachRow") as stream:
        for line in lines_of(stream):
            place = _decode_place(line)
            event = _decode_event(line)
            source = f"{place._epoch}/{place._topic}/{place._partition}"
            record = connection_of(place.said, event, source)
            if record is not None:
                yield Stored(record, place.arrived)
