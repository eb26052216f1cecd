"""The SQL of the sink, made once from the records' structs; everything that varies is a bound parameter.

Rows go as JSON lines. ClickHouse takes no integers for DateTime64 columns in that format, so the insert is a SELECT
over ``input``, which turns microseconds into times and adds what is the same for the whole block.
"""

from typing import Any

import msgspec
from msgspec import inspect

from schemas.records import Event, Session

EVENTS_TABLE = "events"
SESSIONS_TABLE = "sessions"

#: Integers that are times, microseconds UTC, beside those whose name ends with ``_at``.
_TIMES = frozenset({"time", "started", "ended"})
#: Fields that have another name as a column.
_COLUMNS = {"offset": "_offset", "index": "_index"}

#: Constants of a block: column, and expression over bound parameters.
_EVENT_CONSTANTS = (
    ("ingested_at", "fromUnixTimestamp64Milli({ingested_at:Int64}, 'UTC')"),
    ("_epoch", "{epoch:String}"),
    ("_topic", "{topic:String}"),
    ("_partition", "{partition:UInt32}"),
)
_SESSION_CONSTANTS = (*_EVENT_CONSTANTS[:1], ("stored_at", "now64(3)"))

#: The same text as ``producers.formats.decode`` gives; written here for the events that come without one.
_DEFAULT_RECORD_ID = (
    "concat({epoch:String}, '/', {topic:String}, '/', toString({partition:UInt32}), '/', "
    "toString(`offset`), '/', toString(`index`))"
)

#: Refuses the whole insert, whatever its rows, once another sink has taken the partition over: error 395.
#: A plain condition would answer success with no rows.
_FENCE = """NOT throwIf((
    SELECT max(owner) FROM sink_owners
    WHERE epoch = {epoch:String} AND topic = {topic:String} AND partition = {partition:UInt32}
) > {owner:UInt64}, 'fenced')"""

OWNERS = """
SELECT epoch, topic, partition, max(owner) FROM sink_owners
WHERE epoch IN {epochs:Array(String)} GROUP BY epoch, topic, partition"""

KILL = """
KILL QUERY WHERE user = currentUser() AND arrayExists(prefix -> startsWith(query_id, prefix), {prefixes:Array(String)})
SYNC"""

FRONTIERS = """
SELECT _partition, max(_offset) FROM events
WHERE _epoch = {epoch:String} AND _topic = {topic:String} AND _offset >= {first:UInt64}
GROUP BY _partition"""

STORED = """
SELECT DISTINCT _offset, _index FROM events
WHERE _epoch = {epoch:String} AND _topic = {topic:String} AND _partition = {partition:UInt32}
  AND _offset >= {first:UInt64} AND _offset <= {last:UInt64}"""

FORGET = """
DELETE FROM events
WHERE _epoch = {epoch:String} AND _topic = {topic:String} AND _partition = {partition:UInt32}
  AND _offset >= {first:UInt64} AND _offset <= {last:UInt64} AND NOT has({kept:Array(UInt64)}, _offset)"""

HOURS = """
SELECT DISTINCT toUnixTimestamp(toStartOfHour(toDateTime(time, 'UTC'))) FROM events
WHERE _epoch = {epoch:String} AND _topic = {topic:String} AND _partition = {partition:UInt32}
  AND _offset >= {first:UInt64} AND _offset <= {last:UInt64}"""

# The difference is inserted, so that a reader sees the old sums or the new ones. A negative one wraps around, and the
# sum with it wraps back. The bounds of time are for the indexes; what lies beyond them has an hour that wrapped around.
# Of hours ClickHouse believes that they ascend with time, and would leave out the blocks where one wraps: bitXor hides
# them from its indexes.
RECOUNT = f"""
INSERT INTO events_by_hour (hour, sensor, kind, _epoch, _topic, _partition, events)
SELECT hour, sensor, kind, {{epoch:String}}, {{topic:String}}, {{partition:UInt32}}, toUInt64(sum(difference)) AS events
FROM (
    SELECT toStartOfHour(toDateTime(time, 'UTC')) AS hour, sensor, kind, toInt64(count()) AS difference
    FROM events
    WHERE _epoch = {{epoch:String}} AND _topic = {{topic:String}} AND _partition = {{partition:UInt32}}
      AND (time >= fromUnixTimestamp64Micro({{begin:Int64}}, 'UTC')
        AND time < fromUnixTimestamp64Micro({{end:Int64}}, 'UTC') OR time >= '2106-02-07')
      AND has({{hours:Array(UInt32)}}, bitXor(toUnixTimestamp(hour), 0)) GROUP BY ALL
    UNION ALL
    SELECT hour, sensor, kind, -toInt64(sum(events)) AS difference
    FROM events_by_hour
    WHERE _epoch = {{epoch:String}} AND _topic = {{topic:String}} AND _partition = {{partition:UInt32}}
      AND has({{hours:Array(UInt32)}}, toUnixTimestamp(hour)) GROUP BY ALL)
WHERE {_FENCE}
GROUP BY ALL HAVING sum(difference) != 0"""  # noqa: S608 - our own text

# As device_facts_fill does (schemas/tables/0015); the same word again changes nothing.
NAME_DEVICES = """
INSERT INTO device_facts (device, fact, sensor, value, mac, said_at)
SELECT device, said.1 AS fact, sensor, said.2 AS value, mac, said_at
FROM (
    SELECT replaceRegexpAll(lower(mac), '[-:.]', '') AS device, sensor, mac, least(time, ingested_at) AS said_at,
        arrayJoin([
            ('name', JSONExtractString(details, if(category = 'device', 'name', 'client_name'))),
            ('owner', if(category = 'device', JSONExtractString(details, 'owner'), ''))]) AS said
    FROM events
    WHERE _epoch = {epoch:String} AND _topic = {topic:String} AND _partition = {partition:UInt32}
      AND _offset >= {first:UInt64} AND _offset <= {last:UInt64} AND notEmpty(mac))
WHERE said.2 != ''"""

IMPORTED = """
SELECT record_id, _epoch, _topic, _partition, _offset FROM events
WHERE record_id IN {ids:Array(String)} AND (sensor, time) IN (
    SELECT tupleElement(place, 1), fromUnixTimestamp64Micro(tupleElement(place, 2), 'UTC')
    FROM (SELECT arrayJoin(arrayZip({sensors:Array(String)}, {times:Array(Int64)})) AS place))"""

# For the few whose time says nothing: all of the sensor's granules that the index of ids does not rule out.
IMPORTED_AT_ANY_TIME = """
SELECT record_id, _epoch, _topic, _partition, _offset FROM events
WHERE record_id IN {ids:Array(String)} AND sensor IN {sensors:Array(String)}"""

ACTIVE_PARTS = """
SELECT max(parts) FROM (
    SELECT count() AS parts FROM system.parts
    WHERE active AND database = currentDatabase() AND table IN ('events', 'sessions') GROUP BY table, partition_id
)"""


def insert_of(table: str, record: type[msgspec.Struct], constants: tuple[tuple[str, str], ...]) -> str:
    """The insert of JSON lines of ``record`` into ``table``; the text is made of our own field names only."""
    names, values, inputs = [], [], []
    for field in msgspec.structs.fields(record):
        name = field.encode_name
        kind = column_type(field.type)
        value = f"`{name}`"
        if is_time(name):
            value = f"fromUnixTimestamp64Micro({value}, 'UTC')"
        elif name == "record_id":
            value = f"if({value} = '', {_DEFAULT_RECORD_ID}, {value})"
        elif default := _left_out(field.default):
            value = f"if({value} = '', '{default}', {value})"
        names.append(f"`{_COLUMNS.get(name, name)}`")
        values.append(value)
        inputs.append(f"`{name}` {kind}")
    names += [column for column, _ in constants]
    values += [expression for _, expression in constants]
    structure = ", ".join(inputs)
    return (
        f"INSERT INTO {table} ({', '.join(names)})\n"
        f"SELECT {', '.join(values)}\nFROM input('{structure}')\nWHERE {_FENCE}\nFORMAT JSONEachRow"
    )


def _left_out(default: Any) -> str:
    """The text of a default that is neither empty nor zero: a record with it leaves the field out of its JSON."""
    if isinstance(default, msgspec.Raw):
        return bytes(default).decode()
    if isinstance(default, str):
        return str(default)
    if default is msgspec.NODEFAULT or not default:
        return ""
    raise TypeError(f"a default of {default!r} would be lost on the way to ClickHouse")


def is_time(name: str) -> bool:
    """Whether the field of this name holds microseconds UTC, its column a DateTime64."""
    return name in _TIMES or name.endswith("_at")


def column_type(annotation: Any) -> str:
    """ClickHouse's type for what a field holds in JSON; times are integers."""
    kind = inspect.type_info(annotation)
    nullable = False
    while True:
        if isinstance(kind, inspect.Metadata):
            kind = kind.type
        elif isinstance(kind, inspect.UnionType) and kind.includes_none:
            nullable = True
            kind = next(member for member in kind.types if not isinstance(member, inspect.NoneType))
        else:
            break
    name = _scalar(kind)
    return f"Nullable({name})" if nullable else name


def _scalar(kind: inspect.Type) -> str:
    match kind:
        case inspect.IntType():
            return "Int64"
        case inspect.FloatType():
            return "Float64"
        case inspect.BoolType():
            return "Bool"
        case inspect.StrType() | inspect.EnumType() | inspect.RawType():
            return "String"
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return f"Array({_input_type_of(item)})"
        case inspect.DictType(key_type=key, value_type=value):
            return f"Map({_input_type_of(key)}, {_input_type_of(value)})"
    raise TypeError(f"no ClickHouse type is known for {kind}")


def _input_type_of(kind: inspect.Type) -> str:
    return _scalar(kind.type if isinstance(kind, inspect.Metadata) else kind)


def insert_events(alerts: str = "") -> str:
    """``alerts``: expression of that column, without which it has its default."""
    return insert_of(EVENTS_TABLE, Event, (*_EVENT_CONSTANTS, *([("alerts", alerts)] if alerts else [])))


INSERT_EVENTS = insert_events()
INSERT_SESSIONS = insert_of(SESSIONS_TABLE, Session, _SESSION_CONSTANTS)
