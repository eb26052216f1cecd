"""SessionsModel: every attribute of a session as Fudo names it, where its value comes from, and who may change it.

What Sojourn has no column for stands in the session's attributes under ``fudo.<name>``: a sensor may say it there, and
PATCH writes it there. The choices made where the document is silent are listed in docs/dialects/fudo.md.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from query_api.shapes import address
from schemas.backups import PREFIX as BACKUP

#: Before the names of what PATCH wrote, or a sensor said, in the attributes of a session.
PREFIX = "fudo."

DUMP_MODES = ("all", "none", "raw", "noraw")
PROTOCOLS = ("http", "modbus", "mysql", "rdp", "ssh", "system", "tcp", "tds", "telnet", "tn3270", "tn5250", "vnc")
STATUSES = ("approved", "disconnected", "expired", "rejected", "terminated", "waiting")

#: A session's end_reason and the status it shows; every other one, and none while it is open, is ``approved``.
STATUS_OF_END: Mapping[str, str] = MappingProxyType(
    {
        "superseded": "disconnected",
        "sensor_restart": "disconnected",
        "orphan": "disconnected",
        "idle_timeout": "expired",
        "max_duration": "terminated",
        "evicted": "terminated",
    }
)


class Kind(StrEnum):
    """Types as objspec names them; a TIME is a string there."""

    TEXT = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    ML = "SessionsMLModel"
    BACKUPS = "object-array"


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute. ``sql`` is its value: '' stands for null in a TEXT, NULL in a NUMBER and a TIME.

    A BOOLEAN is never null; ``only_true``: it is shown unasked where it is true. ML and BACKUPS are JSON text.
    """

    name: str
    kind: Kind
    sql: str
    writable: bool = False
    unique: bool = False
    only_true: bool = False
    #: An IP address: asked for in any spelling, and without an order.
    address: bool = False
    #: Not shown unless it is asked for by name; in an answer with one session ``size`` is.
    expensive: bool = False
    #: The values that may be written.
    values: tuple[str, ...] = ()

    @property
    def only_said(self) -> bool:
        """Whether its value is what was said or written of it and nothing else."""
        said = (_own(self.name), f"{_own(self.name)} = 'true'")
        return self.sql in said and (self.kind is Kind.TEXT or self.only_true)

    @property
    def computed(self) -> bool:
        """Made when the answer is: nothing can be filtered or ordered by it."""
        return self.kind in (Kind.ML, Kind.BACKUPS) or self.name == "size"


def _own(name: str) -> str:
    """What stands in the session's attributes, as text."""
    return f"attributes['{PREFIX}{name}']"


def _text(name: str, sql: str = "", writable: bool = False, values: tuple[str, ...] = ()) -> Attribute:
    # What was written wins over what a column says.
    own = _own(name)
    value = f"if({own} != '', {own}, toString({sql}))" if sql else own
    return Attribute(name=name, kind=Kind.TEXT, sql=value, writable=writable, values=values)


def _column(name: str, column: str, unique: bool = False, address: bool = False) -> Attribute:
    """A text column as it is, so that its index helps."""
    return Attribute(name=name, kind=Kind.TEXT, sql=column, unique=unique, address=address)


def _number(name: str, sql: str = "", expensive: bool = False) -> Attribute:
    return Attribute(name=name, kind=Kind.NUMBER, sql=sql or f"toFloat64OrNull({_own(name)})", expensive=expensive)


def _flag(name: str, sql: str = "", writable: bool = False, only_true: bool = False) -> Attribute:
    return Attribute(
        name=name, kind=Kind.BOOLEAN, sql=sql or f"{_own(name)} = 'true'", writable=writable, only_true=only_true
    )


def _time(name: str, sql: str = "", writable: bool = False) -> Attribute:
    value = sql or f"parseDateTime64BestEffortOrNull({_own(name)}, 6, 'UTC')"
    return Attribute(name=name, kind=Kind.TIME, sql=value, writable=writable)


def _texts(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


_PROTOCOL = (
    f"multiIf(protocol IN {_texts(PROTOCOLS)}, toString(protocol),"
    " client_port != 0 OR server_port != 0, 'tcp', 'system')"
)
_STATUS = f"transform(end_reason, {_texts(tuple(STATUS_OF_END))}, {_texts(tuple(STATUS_OF_END.values()))}, 'approved')"
_REASON = "multiIf(reason != '', reason, end_reason IN ('', 'disconnect', 'complete'), '', end_reason)"
#: Until the last sign of life, in whole seconds.
_ACTIVE = "dateDiff('second', started_at, last_activity_at)"
#: Bytes of the session's events; ``sizes`` stands before the statement.
_SIZE = "nullIf(toInt64(sizes[concat(sensor, '/', session_id)]), 0)"
SIZES = (
    "(SELECT mapFromArrays(groupArray(name), groupArray(bytes)) FROM ("
    "SELECT concat(sensor, '/', session_id) AS name, sum(length(data) + length(content) + length(details)) AS bytes"
    " FROM events WHERE sensor IN {k0:Array(String)} AND session_id IN {k1:Array(String)} GROUP BY name)) AS sizes"
)

ML_NUMBERS = ("ml_threat_level", "ml_threat_level_min", "ml_threat_level_max")
ML_TIMES = ("ml_converted_at", "ml_finished_at")


def _ml() -> str:
    """An object of what is known, '' when nothing is."""
    named = f"substring(name, {len(PREFIX) + 1})"
    number, text = "toString(toFloat64OrNull(value))", "toJSONString(nullIf(value, ''))"
    value = f"if({named} IN {_texts(ML_NUMBERS)}, {number}, {text})"
    names = _texts(tuple(PREFIX + name for name in (*ML_NUMBERS, *ML_TIMES)))
    known = f"mapFilter((name, value) -> name IN {names}, attributes)"
    pair = f"ifNull(concat('\"', {named}, '\":', {value}), '')"
    members = f"arrayMap((name, value) -> {pair}, mapKeys({known}), mapValues({known}))"
    joined = f"arrayStringConcat(arrayFilter(pair -> pair != '', {members}), ',')"
    return f"arrayStringConcat(arrayMap(text -> concat('{{', text, '}}'), arrayFilter(text -> text != '', [{joined}])))"


ML = _ml()


def _backups() -> str:
    """A list of ``{"target": …, "state": …, …}``."""
    kept = (
        f"mapFilter((name, state) -> startsWith(name, '{BACKUP}') AND isValidJSON(state)"
        " AND startsWith(state, '{\"'), CAST(attributes, 'Map(String, String)'))"
    )
    one = f"concat('{{\"target\":', toJSONString(substring(name, {len(BACKUP) + 1})), ',', substring(state, 2))"
    each = f"arrayMap((name, state) -> {one}, mapKeys({kept}), mapValues({kept}))"
    return f"concat('[', arrayStringConcat({each}, ','), ']')"


#: In the order of the document.
ATTRIBUTES = (
    _column("id", "session_id", unique=True),
    _column("leader_session_id", "session_id"),
    _column("account_id", "server_user"),
    _column("listener_id", "sensor"),
    _text("safe_id"),
    _column("server_id", "if(server_name != '', server_name, server_ip)"),
    _column("user_id", "if(user_id != '', user_id, user)"),
    _time("started_at", "started_at"),
    _time("finished_at", "ended_at"),
    _text("handled_by"),
    _text("marked_safe_by"),
    _time("terminate_at", "terminate_at", writable=True),
    _text("dump_mode", "'all'", writable=True, values=DUMP_MODES),
    Attribute(name="protocol", kind=Kind.TEXT, sql=_PROTOCOL, values=PROTOCOLS),
    _column("source_ip", "client_ip", address=True),
    _number("source_port", "nullIf(client_port, 0)"),
    _column("destination_ip", "server_ip", address=True),
    _number("destination_port", "nullIf(server_port, 0)"),
    _flag("paused", "paused", writable=True),
    _flag("retention_locked", "retention_locked", writable=True),
    # 2 is "indexed": a session that can be read can be searched (fudo-facts 2.5). Not the number alone: ORDER BY 2 is
    # the second column of the answer.
    _number("indexed", "toUInt8(2)"),
    _text("trusted_timestamp"),
    _number("size", _SIZE, expensive=True),
    Attribute(name="reason", kind=Kind.TEXT, sql=_REASON, writable=True),
    _text("status", _STATUS, writable=True, values=STATUSES),
    _number("active_time", _ACTIVE),
    Attribute(name="ml", kind=Kind.ML, sql=ML),
    _flag("pending_delete", writable=True, only_true=True),
    _flag("password_change"),
    _flag("checkout_forced"),
    _time("created_at", "created_at"),
    _time("modified_at", "modified_at"),
    _flag("removed", "removed", writable=True, only_true=True),
    _text("login_reason", writable=True),
    _text("bits_per_pixel"),
    _text("height"),
    _text("width"),
    _text("command"),
    _text("type"),
    _text("subsystem"),
    # Of later versions of the product, and our own: only when they are asked for.
    Attribute(name="destination_address", kind=Kind.TEXT, sql=address("server_ip", "server_port"), expensive=True),
    Attribute(name="protocol_raw", kind=Kind.TEXT, sql="protocol", expensive=True),
    Attribute(name="backups", kind=Kind.BACKUPS, sql=_backups(), expensive=True),
)

BY_NAME: Mapping[str, Attribute] = MappingProxyType({attribute.name: attribute for attribute in ATTRIBUTES})

#: Relations by the name of what they lead to, as the document's ``server.isnull()`` has it; for filters only.
RELATIONS: Mapping[str, str] = MappingProxyType(
    {name: f"{name}_id" for name in ("account", "listener", "safe", "server", "user", "leader_session")}
)
WRITABLE = tuple(attribute.name for attribute in ATTRIBUTES if attribute.writable)
