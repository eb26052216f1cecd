"""Sessions that ClickHouse has and that later records may still change: what a session machine starts from."""

from collections.abc import Collection, Iterator, Sequence

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from schemas.parameters import MOST, bytes_of, portions
from schemas.records import Session
from schemas.settings import Settings
from stream_processors.machine.limits import Limits
from stream_processors.machine.stored_session import StoredSession
from stream_processors.sink.statements import column_type, is_time

#: A session as its struct has it: times are integers.
SESSION_COLUMNS = """SELECT * REPLACE (
    toUnixTimestamp64Micro(started_at) AS started_at,
    toUnixTimestamp64Micro(ended_at) AS ended_at,
    toUnixTimestamp64Micro(last_activity_at) AS last_activity_at,
    toUnixTimestamp64Micro(user_seen_at) AS user_seen_at,
    toUnixTimestamp64Micro(terminate_at) AS terminate_at,
    toUnixTimestamp64Micro(created_at) AS created_at,
    toUnixTimestamp64Micro(modified_at) AS modified_at)
"""

# Java's murmur2, as every Kafka client partitions by: the table needs no column for it.
_PARTITION = "bitAnd(kafkaMurmurHash(key), 0x7fffffff) % {partitions:UInt32}"
_MINE = f"{_PARTITION} IN {{mine:Array(UInt32)}}"

# Recent is seen from the latest row, not from the clock: the worker may have been away for days.
_EDGE = "(SELECT max(ingested_at) FROM {database:Identifier}.sessions) - toIntervalSecond({window:UInt32})"

# A removed session stays removed whatever comes; one that only became another session is nobody's any more.
_LIVE = "NOT (removed AND has(flags, 'replaced'))"

_WAITING = f"(state = 'open' OR held) AND {_LIVE}"

# Guessed closings and orphans are corrected by late records; keys without an id pair with what came before them; and
# whatever a record changed that will be read again must be there, or the record would change it twice.
_RECENT = f"""state = 'closed' AND NOT held AND {_LIVE} AND (
    modified_at >= fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')
    OR ingested_at >= {_EDGE}
        AND (JSONLength(key) != 2 AND end_reason != 'complete'
            OR end_reason IN ('idle_timeout', 'max_duration', 'evicted', 'sensor_restart', 'orphan')))"""

# A device's last session is remembered for ever: a repeated connect must not open another.
_DEVICES = f"""state = 'closed' AND NOT held AND {_LIVE} AND end_reason != 'complete' AND JSONLength(key) = 1
    AND ingested_at < {_EDGE}"""


def _as_json() -> str:
    """The session as one JSON text as short as its message is, with its partition: null members are left out."""
    names, values = ["partition", "paired"], [_PARTITION, "nullIf(JSONLength(key) != 2, 0)"]
    types = ["Int64", "Nullable(Bool)"]
    for field in msgspec.structs.fields(Session):
        default = field.default
        value = f"`{field.name}`"
        kind = column_type(field.type)
        if is_time(field.name):
            value = f"toUnixTimestamp64Micro({value})"
        elif isinstance(default, bool | int):
            value = f"nullIf({value}, {int(default)})"
        elif isinstance(default, str):
            value = f"nullIf({value}, '{default}')"
        names.append(field.name)
        values.append(value)
        types.append(kind if kind.startswith(("Array", "Map", "Nullable")) else f"Nullable({kind})")
    members = ", ".join(f"`{name}` {kind}" for name, kind in zip(names, types, strict=True))
    return f"toJSONString(CAST(({', '.join(values)}), 'Tuple({members})'))"


def _query(condition: str, limit: str, order: str) -> str:
    """Keys first, from rows of any version: FINAL then reads only those, not the whole table."""
    return f"""SELECT {_as_json()} FROM
(
    SELECT * FROM {{database:Identifier}}.sessions FINAL
    WHERE (sensor, session_id) IN (
        SELECT sensor, session_id FROM {{database:Identifier}}.sessions WHERE {_MINE} AND {condition})
    AND {condition}
    {limit}
)
{order}"""  # noqa: S608 - constants of this module only


_QUERIES = (
    _query(_WAITING, "", ""),
    _query(_RECENT, "ORDER BY modified_at DESC LIMIT {most:UInt32}", "ORDER BY modified_at"),
    _query(_DEVICES, "ORDER BY started_at DESC LIMIT 1 BY key", ""),
)

# An API's record may be about any session of a device, in whichever form its address was written, or about one session.
_OF_WRITES = f"""{SESSION_COLUMNS} FROM {{database:Identifier}}.sessions FINAL
WHERE NOT held AND (sensor, session_id) IN (
    SELECT sensor, session_id FROM {{database:Identifier}}.sessions
    WHERE replaceRegexpAll(lower(mac), '[-:.]', '') IN {{macs:Array(String)}}
    UNION ALL
    SELECT tupleElement(named, 1), tupleElement(named, 2)
    FROM (SELECT arrayJoin(arrayZip({{sensors:Array(String)}}, {{ids:Array(String)}})) AS named))"""  # noqa: S608 - as above

# The newest first: what a late record can belong to is among the last few sessions of its key.
_OF_KEYS = f"""{SESSION_COLUMNS} FROM
(
    SELECT * FROM {{database:Identifier}}.sessions FINAL
    WHERE key IN {{keys:Array(String)}} AND NOT held
    ORDER BY page_time DESC
    LIMIT 8 BY key
)
ORDER BY coalesce(started_at, ended_at, last_activity_at)"""  # noqa: S608 - constants of this module only

# What ended is not restored, but a record of it must find it: the newest keys, of ids of a sensor's own and of flows.
_ENDED_KEYS = """SELECT key FROM {database:Identifier}.sessions
WHERE state = 'closed' AND NOT held AND (JSONLength(key) = 2 OR JSONLength(key) = 3 AND end_reason = 'complete')
ORDER BY ingested_at DESC LIMIT {most:UInt32}"""

_BRIEF = {
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_validate_utf8": 1,
    "output_format_json_skip_null_value_in_named_tuples": 1,
}

JSON_SETTINGS = {
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_validate_utf8": 1,
    "date_time_output_format": "simple",
}

_decode = msgspec.json.Decoder(Session).decode
_decode_stored = msgspec.json.Decoder(StoredSession).decode_lines

#: What reading may raise while ClickHouse is away or ends in the middle of an answer.
UNAVAILABLE = (ClickHouseError, HTTPError, OSError, msgspec.DecodeError)


def stored_sessions(
    settings: Settings, limits: Limits, partitions: Collection[int], since: int
) -> Iterator[tuple[StoredSession, bytes]]:
    """Sessions of some partitions of ``connections``, one by one, in constant memory: what must be known at once, and
    all of it as JSON. Blocks: run it in a thread.

    ``since`` (microseconds UTC): closed sessions changed from then on come, too, however they ended.

    Raises one of UNAVAILABLE; what was given until then is not the whole.
    """
    client = client_of(settings)
    window = 2 * max(limits.idle.values(), default=0) + limits.grace + limits.keep
    parameters = {
        "database": settings.clickhouse.database,
        "mine": sorted(partitions),
        "partitions": settings.kafka.partitions,
        "since": since,
        "window": window // 1_000_000,
        "most": limits.max_kept * len(partitions),
    }
    try:
        for query in _QUERIES:
            stream = client.raw_stream(query, parameters=parameters, settings=_BRIEF, fmt="TSVRaw")
            with stream:
                for lines in _blocks(stream):
                    yield from zip(_decode_stored(b"\n".join(lines)), lines, strict=True)
    finally:
        client.close()


def ended_keys(settings: Settings, most: int) -> Iterator[list[bytes]]:
    """Session keys of what ended last, some at a time, newest first. Blocks. Raises one of UNAVAILABLE."""
    client = client_of(settings)
    parameters = {"database": settings.clickhouse.database, "most": most}
    try:
        with client.raw_stream(_ENDED_KEYS, parameters=parameters, fmt="TSVRaw") as stream:
            yield from _blocks(stream)
    finally:
        client.close()


def sessions_of_keys(settings: Settings, keys: Sequence[bytes]) -> list[Session]:
    """The last sessions of some session keys, removed ones too; those of one key oldest first. Blocks. Raises one of
    UNAVAILABLE."""
    client = client_of(settings)
    found: list[Session] = []
    try:
        # A key that no parameter takes is not asked for: no API can name such a session either.
        asked = (text for text in map(bytes.decode, keys) if bytes_of(text) <= MOST)
        for part in portions(asked, bytes_of):
            parameters = {"database": settings.clickhouse.database, "keys": part}
            with client.raw_stream(
                _OF_KEYS, parameters=parameters, settings=JSON_SETTINGS, fmt="JSONEachRow"
            ) as stream:
                found += [_decode(line) for line in lines_of(stream)]
    finally:
        client.close()
    return found


def sessions_of_writes(settings: Settings, macs: Sequence[str], named: Sequence[tuple[str, str]]) -> Iterator[Session]:
    """All sessions of devices (``schemas.records.normal_mac``), and those named by sensor and id; removed ones too.

    Blocks. Raises one of UNAVAILABLE; what was given until then is not the whole.
    """
    client = client_of(settings)
    parameters = {
        "database": settings.clickhouse.database,
        "macs": list(macs),
        "sensors": [sensor for sensor, _ in named],
        "ids": [session_id for _, session_id in named],
    }
    try:
        with client.raw_stream(_OF_WRITES, parameters=parameters, settings=JSON_SETTINGS, fmt="JSONEachRow") as stream:
            yield from map(_decode, lines_of(stream))
    finally:
        client.close()


def client_of(settings: Settings) -> Client:
    """ClickHouse as the writer, for long answers in constant memory."""
    store = settings.clickhouse
    return clickhouse_connect.get_client(
        dsn=store.url,
        username=store.writer,
        password=store.writer_password,
        connect_timeout=3,
        send_receive_timeout=60,
        autogenerate_session_id=False,
    )


def lines_of(stream: object) -> Iterator[bytes]:
    """The lines of an answer that is read as a stream."""
    for lines in _blocks(stream):
        yield from lines


def _blocks(stream: object) -> Iterator[list[bytes]]:
    rest = b""
    while chunk := stream.read(1 << 18):  # type: ignore[attr-defined]
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]
