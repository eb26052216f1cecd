"""The properties of a session: their names, types and where each comes from (sps-facts 1.7, 1.8).

What a sensor or an annotation says in the session's attributes goes before what is derived.
"""

import msgspec

from query_api.dialects.sps.fields import Field, Kind, catalogue, moment

_NAME = "encodeURLComponent(session_id)"
_HREF = f"concat('/api/audit/sessions/', {_NAME})"

#: The verdict as its upper-case words; a session ended by somebody else than its two ends was terminated.
_VERDICT = (
    "multiIf(attributes['verdict'] != '', upper(attributes['verdict']), "
    "end_reason IN ('sensor_restart', 'max_duration', 'evicted'), 'TERMINATED', "
    "attributes['login'] = 'failed', 'AUTH_FAIL', 'ACCEPT')"
)
_POLICY = "if(attributes['connection_policy'] != '', attributes['connection_policy'], toString(sensor))"
_AUTH_METHOD = (
    "multiIf(attributes['auth_method'] != '', attributes['auth_method'], "
    "attributes['method'] != '', attributes['method'], attributes['login'] != '', 'password', '')"
)
_INDEX_STATUS = "multiIf(state = 'open', 'CHANNEL_OPEN', event_count > 0, 'INDEXED', 'NO_TRAIL')"
_SERVER_USER = "if(server_user != '', server_user, user)"

#: Conditions of members that are left out of a session without them.
PRESENT = {"recording.audit_trail": "event_count > 0"}


def _keyword(name: str, expression: str, lowered: str = "", shown: str = "", listed: bool = True) -> Field:
    return Field(name=name, kind=Kind.KEYWORD, expression=expression, lowered=lowered, shown=shown, listed=listed)


def _text(name: str, column: str, lowered: str = "", listed: bool = True) -> Field:
    """A text that is null where it is not known."""
    return _keyword(name, column, lowered, f"nullIf({column}, '')", listed)


def _ip(name: str, column: str, listed: bool = True) -> Field:
    return msgspec.structs.replace(_text(name, column, f"lower({column})", listed), address=True)


def _int(name: str, expression: str, nullable: bool = False) -> Field:
    return Field(name=name, kind=Kind.INT, expression=expression, nullable=nullable)


def _port(name: str, column: str) -> Field:
    return _int(name, f"nullIf({column}, 0)", nullable=True)


def _bool(name: str, expression: str) -> Field:
    written = (expression, "") if expression in ("true", "false") else None
    return Field(name=name, kind=Kind.BOOL, expression=f"toBool({expression})", written=written)


def _time(name: str, column: str, expression: str, nullable: bool) -> Field:
    return Field(name=name, kind=Kind.TIME, expression=expression, moment=column, nullable=nullable)


def _once(name: str, kind: Kind, around: str, what: str, called: str) -> Field:
    """Something made of what several properties are made of: worked out once, under a name of its own."""
    return Field(
        name=name,
        kind=kind,
        expression=around.format(what),
        shown=around.format(f"{called}_of_session"),
        aside=f"{what} AS {called}_of_session",
    )


def _href(name: str, part: str, listed: bool = True) -> Field:
    return Field(
        name=name,
        kind=Kind.KEYWORD,
        expression=f"concat({_HREF}, '{part}')" if part else _HREF,
        written=(f'"/api/audit/sessions/{{value}}{part}"', _NAME),
        listed=listed,
    )


def _link(name: str) -> Field:
    return _href(f"{name}.href", f"/{name}")


class SpsEmpty(msgspec.Struct, forbid_unknown_fields=True):
    """An object without members."""


def _nothing(name: str, json: str) -> Field:
    """What the product works out and Sojourn does not."""
    type = {"[]": list[str], "{}": SpsEmpty, "null": None}[json]
    return Field(
        name=name, kind=Kind.KEYWORD, expression="''", shown=f"'{json}'", raw=True, type=type, written=(json, "")
    )


def _unknown(kind: Kind, type: str, names: str) -> list[Field]:
    """Properties of the product's other parts, which no sensor reports: null, and found by no condition."""
    return [
        Field(
            name=name,
            kind=kind,
            expression=f"CAST(NULL, 'Nullable({type})')",
            written=("null", ""),
            nullable=True,
            listed=False,
        )
        for name in names.split()
    ]


#: Of a page's sessions, which kinds of these they have events of, no more than an hour before they begin or after
#: their last sign of life; looked up once for all.
_KINDS = ("command", "window_title")
_OF_PAGE = (
    "(SELECT groupUniqArray((toString(sensor), session_id, toString(kind))) FROM events"  # noqa: S608 - our kinds
    f" WHERE kind IN {_KINDS} AND sensor IN {{k0:Array(String)}} AND session_id IN {{k1:Array(String)}}"
    " AND time >= fromUnixTimestamp64Micro({first:Int64}, 'UTC') - INTERVAL 1 HOUR"
    " AND time <= fromUnixTimestamp64Micro({last:Int64}, 'UTC') + INTERVAL 1 HOUR) AS kinds_of_page"
)


def _has_event(name: str, kind: str) -> Field:
    """Whether the session has events of a kind."""
    assert kind in _KINDS
    events = f"SELECT sensor, session_id FROM events WHERE kind = '{kind}' AND session_id != ''"  # noqa: S608 - our kinds
    return Field(
        name=name,
        kind=Kind.BOOL,
        expression=f"toBool((sensor, session_id) IN ({events}))",
        shown=f"toBool(has(kinds_of_page, (toString(sensor), session_id, '{kind}')))",
        aside=_OF_PAGE,
    )


def _address(prefix: str, side: str, name: str) -> list[Field]:
    return [
        _ip(f"{prefix}.ip", f"{side}_ip"),
        _text(f"{prefix}.name", name),
        _port(f"{prefix}.port", f"{side}_port"),
    ]


_CLIENT_NAME = "multiIf(client_name != '', client_name, client_ip != '', client_ip, mac)"
_SERVER_NAME = "if(server_name != '', server_name, server_ip)"
_MILLISECONDS = "substring(formatDateTime(created_at, '%f', 'UTC'), 1, 3)"

_SHOWN = [
    _bool("active", "state = 'open'"),
    *(_link(name) for name in ("alerts", "channels", "content", "events", "indexing", "trail_downloads")),
    _nothing("analytics.interesting_events", "[]"),
    _bool("analytics.scripted", "false"),
    _nothing("analytics.scripted_results", "{}"),
    _nothing("analytics.similar_sessions", "[]"),
    _nothing("analytics.tags", "[]"),
    *_address("client", "client", _CLIENT_NAME),
    _time(
        "creation_time",
        "created_at",
        f"concat(formatDateTime(created_at, '%Y-%m-%dT%H:%i:%S.', 'UTC'), {_MILLISECONDS}, 'Z')",
        False,
    ),
    _int("duration", "toInt64(floor(duration))", nullable=True),
    _time("end_time", "ended_at", moment("ended_at", "+00:00"), True),
    _bool("hidden", "false"),
    _keyword("node_id", "toString(reinterpretAsUUID(MD5(sensor)))"),
    Field(name="origin", kind=Kind.KEYWORD, expression="'RECORDING'", written=('"RECORDING"', "")),
    _bool("phantom", "false"),
    _text("protocol", "upper(protocol)", "protocol"),
    _bool("recording.archived", "false"),
    _nothing("recording.audit_trail.archive", "null"),
    _href("recording.audit_trail.download.href", "/audit_trail"),
    _text("recording.auth_method", _AUTH_METHOD),
    _text("recording.channel_policy", "if(attributes['channel_policy'] != '', attributes['channel_policy'], category)"),
    _has_event("recording.command_extracted", "command"),
    _once("recording.connection_policy", Kind.KEYWORD, "{}", _POLICY, "policy"),
    _once("recording.connection_policy_id", Kind.KEYWORD, "substring(lower(hex(MD5({}))), 1, 23)", _POLICY, "policy"),
    _int("recording.content_reference_id", "toInt64(bitShiftRight(cityHash64(sensor, session_id), 11))"),
    _once(
        "recording.has_accepted_channel", Kind.BOOL, "toBool({} = 'ACCEPT' AND event_count > 0)", _VERDICT, "verdict"
    ),
    _keyword("recording.index_status", _INDEX_STATUS),
    _text("recording.network_id", "location"),
    *_address("recording.server_local", "server", _SERVER_NAME),
    _keyword("recording.session_id", "concat('svc/', session_id, '/', sensor)"),
    *_address("recording.target", "server", _SERVER_NAME),
    _once("recording.verdict", Kind.KEYWORD, "{}", _VERDICT, "verdict"),
    _has_event("recording.window_title_extracted", "window_title"),
    _int("revision", "toInt64(version)"),
    *_address("server", "server", _SERVER_NAME),
    _time("start_time", "started_at", moment("started_at", "+00:00"), True),
    _text("user.id", "user_id"),
    _text("user.name", "user", "lowerUTF8(user)"),
    _text("user.server_username", _SERVER_USER),
    _once("verdict", Kind.KEYWORD, "{}", _VERDICT, "verdict"),
]

_BY_NAME = [
    _href("trail_download_link", "/audit_trail", listed=False),
    _text("user.gateway_username", "user", listed=False),
    _ip("server.address", "server_ip", listed=False),
    *_unknown(
        Kind.KEYWORD,
        "String",
        "analytics.bucketed_duration analytics.bucketed_starting_hour log.adapter_name log.auth_method "
        "log.syslog_time recording.archive.path recording.archive.policy recording.archive.server "
        "recording.deny_reason server.id user.gateway_username_domain user.name_domain user.server_username_domain "
        "vault.access_request_type vault.account_id vault.account_name vault.appliance_id vault.appliance_name "
        "vault.asset_partition_id vault.asset_partition_name vault.broker_id vault.created.user.client_ip_address "
        "vault.created.user.user_display_name vault.created.user.user_id vault.created.user.user_name "
        "vault.system_id vault.system_name vault.created.timestamp recording.archive.date",
    ),
    *_unknown(
        Kind.BOOL,
        "Bool",
        "vault.auto_approved vault.available vault.expired vault.is_emergency vault.offline_workflow",
    ),
    *_unknown(
        Kind.INT,
        "Int64",
        "analytics.score.aggregated "
        + " ".join(
            f"analytics.score.details.{name}.score"
            for name in ("command", "fis", "hostlogin", "logintime", "keystroke", "mouse", "windowtitle")
        ),
    ),
]

#: A term without a property is the whole value of any of these.
_PLAIN = (
    "client.ip",
    "client.name",
    "protocol",
    "recording.connection_policy",
    "server.ip",
    "server.name",
    "user.name",
    "user.server_username",
    "verdict",
)

SESSION = catalogue([*_SHOWN, *_BY_NAME], _PLAIN)

#: Path of a session.
HREF = _href("href", "")
