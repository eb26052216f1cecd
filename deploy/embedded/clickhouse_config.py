"""The two configuration files of the embedded ClickHouse, as text.

Who may do what stands in embedded-clickhouse (users) and hard-questions "Open on loopback" (the rules for HTTP).
"""

import hashlib
import re
from xml.sax.saxutils import escape

import msgspec

from deploy.addresses import Address
from deploy.embedded.passwords import Passwords

#: Users that may come in over HTTP. Everything else, above all ``default``, is answered 404.
HTTP_USERS = ("analyst", "api", "api_writer", "writer", "admin")

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_GIB = 1 << 30
_TABLE_ENGINES = ("MergeTree", "ReplacingMergeTree", "SummingMergeTree", "AggregatingMergeTree")


class Limits(msgspec.Struct, frozen=True):
    """What one query may cost; the API's come from the settings http.query_*, the analyst's are fixed."""

    seconds: float
    memory: int
    rows: int = 0


ANALYST_LIMITS = Limits(seconds=30, memory=4 * _GIB)


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    http: Address
    native_port: int
    database: str
    log: str
    api_limits: Limits
    passwords: Passwords


def basic_pattern(user: str) -> str:
    """A regex for the base64 text of ``user:…``: the characters that are certain, then the possible next one.

    Base64 has 6 bits a character, so the colon ends within a character whose remaining bits are the password's.
    """
    bits = "".join(f"{byte:08b}" for byte in f"{user}:".encode())
    whole, left = divmod(len(bits), 6)
    certain = "".join(_BASE64[int(bits[6 * n : 6 * n + 6], 2)] for n in range(whole))
    if not left:
        return re.escape(certain)
    rest = bits[-left:]
    first = int(rest.ljust(6, "0"), 2)
    possible = "".join(_BASE64[first : first + (1 << (6 - left))])
    return f"{re.escape(certain)}[{re.escape(possible)}]"


def config_xml(config: ServerConfig) -> str:
    """``config.xml``: listeners, the HTTP rules, a small log and a short query log."""
    host = r"^(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?$"
    header_user = f"^({'|'.join(HTTP_USERS)})$"
    basic_user = f"^Basic ({'|'.join(basic_pattern(user) for user in HTTP_USERS)}).*$"

    def rule(header: str, pattern: str) -> str:
        return f"""
    <rule>
      <url>regex:^/(\\?.*)?$</url>
      <headers><host>regex:{escape(host)}</host><{header}>regex:{escape(pattern)}</{header}></headers>
      <handler><type>dynamic_query_handler</type><query_param_name>query</query_param_name></handler>
    </rule>"""

    return f"""<clickhouse>
  <listen_host>{escape(config.http.host)}</listen_host>
  <http_port>{config.http.port}</http_port>
  <tcp_port>{config.native_port}</tcp_port>
  <users_config>users.xml</users_config>
  <default_profile>default</default_profile>
  <keep_alive_timeout>30</keep_alive_timeout>
  <logger>
    <errorlog>{escape(config.log)}</errorlog><errorlog_level>error</errorlog_level><size>10M</size><count>2</count>
  </logger>
  <access_control_improvements>
    <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
    <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
  </access_control_improvements>
  <query_log>
    <database>system</database><table>query_log</table>
    <engine>ENGINE = MergeTree ORDER BY event_time TTL event_date + INTERVAL 3 DAY</engine>
    <flush_interval_milliseconds>7500</flush_interval_milliseconds>
    <max_size_rows>100000</max_size_rows>
    <reserved_size_rows>1024</reserved_size_rows>
    <buffer_size_rows_flush_threshold>50000</buffer_size_rows_flush_threshold>
  </query_log>
  <http_handlers>{rule("x-clickhouse-user", header_user)}{rule("authorization", basic_user)}
    <rule><url>/ping</url><handler><type>ping</type></handler></rule>
  </http_handlers>
</clickhouse>
"""


#: The table function python() asks for no grant, and one call of it ends this server with SIGSEGV.
_NO_PYTHON = "<allow_python_table_function>0</allow_python_table_function>"


def users_xml(config: ServerConfig) -> str:
    """``users.xml``: six users, each with the grants it needs; without grants a user could read the machine's files.

    ``default`` must exist without password, the server's own session is its; it can do nothing but start listeners.
    """
    database, passwords = config.database, config.passwords

    def user(name: str, password: str | None, profile: str, grants: list[str]) -> str:
        secret = (
            "<password/>"
            if password is None
            else f"<password_sha256_hex>{hashlib.sha256(password.encode()).hexdigest()}</password_sha256_hex>"
        )
        queries = "".join(f"\n        <query>GRANT {escape(grant)}</query>" for grant in grants)
        return f"""
    <{name}>
      {secret}
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>{profile}</profile><quota>default</quota>
      <grants>{queries}
      </grants>
    </{name}>"""

    users = [
        user("default", None, "default", ["SYSTEM LISTEN ON *.*", "CREATE TEMPORARY TABLE ON *.*"]),
        user(
            "writer",
            passwords.writer,
            "writer",
            [
                f"ALL ON {database}.*",
                *(f"TABLE ENGINE ON {engine}" for engine in _TABLE_ENGINES),
                "KILL QUERY ON *.*",
                "SELECT ON system.parts",
                "SELECT ON system.processes",
                "SELECT ON system.mutations",
                "SELECT ON system.view_refreshes",
                # INSERT … SELECT … FROM input(…) asks for it, and not for less: a pattern of paths is refused. So the
                # writer may read this user's files; its password lies in a file that only this user can read.
                "READ ON FILE",
            ],
        ),
        user("admin", passwords.admin, "writer", ["ALL ON *.* WITH GRANT OPTION"]),
        user("api", passwords.api, "api", [f"SELECT ON {database}.*", "SELECT ON system.parts"]),
        user("api_writer", passwords.api_writer, "api_writer", api_writer_grants(database)),
        user("analyst", None, "analyst", [f"SELECT ON {database}.*"]),
    ]
    readers = (
        _reader_profile("api", config.api_limits)
        + _reader_profile("api_writer", config.api_limits, writes=True)
        + _reader_profile("analyst", ANALYST_LIMITS)
    )
    return f"""<clickhouse>
  <profiles>
    <default>
      {_NO_PYTHON}
    </default>
    <writer>
      {_NO_PYTHON}
      <async_insert>0</async_insert>
      <http_receive_timeout>4</http_receive_timeout>
      <deduplicate_blocks_in_dependent_materialized_views>1</deduplicate_blocks_in_dependent_materialized_views>
    </writer>{readers}
  </profiles>
  <quotas><default/></quotas>
  <users>{"".join(users)}
  </users>
</clickhouse>
"""


def api_writer_grants(database: str) -> list[str]:
    """What the query API needs to keep a list of sessions for a while (``schemas/tables``: sps_snapshots)."""
    return [
        f"SELECT ON {database}.events",
        f"SELECT ON {database}.sessions",
        f"SELECT, INSERT ON {database}.sps_snapshots",
        f"SELECT, INSERT, ALTER DELETE ON {database}.sps_snapshot_keys",
    ]


def _reader_profile(name: str, limits: Limits, *, writes: bool = False) -> str:
    """A profile that may read and may lower its limits, never raise them.

    ``writes``: it may also do what its grants allow; dropping what has expired counts as DDL.
    """
    # The API lowers its limits by request; the analyst's stand as they are.
    fixed = name == "analyst"
    bounded = {
        "max_execution_time": f"{limits.seconds:g}",
        "max_memory_usage": str(limits.memory),
        "max_rows_to_read": str(limits.rows),
    }
    always = {
        "allow_ddl": "1" if writes else "0",
        "async_insert": "0",
        "allow_python_table_function": "0",
        "allow_introspection_functions": "0",
        "cancel_http_readonly_queries_on_client_close": "1",
        "log_queries": "1",
        # Memory below this mark is not counted against the limit, so it must not be raised.
        "max_untracked_memory": "4194304",
        # Vectorscan's compilation does not look at the time limit (embedded-clickhouse: regexes).
        "max_hyperscan_regexp_total_length": "10000",
        "max_hyperscan_regexp_length": "1024",
        "max_temporary_data_on_disk_size_for_query": str(8 * _GIB),
        "max_concurrent_queries_for_user": "64",
        "max_ast_depth": "1000",
        "max_parser_depth": "1000",
        "timeout_overflow_mode": "throw",
        "timeout_before_checking_execution_speed": "0",
    }
    values = {
        "readonly": "0" if writes else "2",
        **always,
        **{key: value for key, value in bounded.items() if value != "0"},
    }
    lines = "".join(f"\n      <{key}>{value}</{key}>" for key, value in values.items())
    constraints = "".join(f"\n        <{key}><const/></{key}>" for key in always)
    for key, value in bounded.items():
        if value != "0":
            rule = "<const/>" if fixed else f"<max>{value}</max>"
            constraints += f"\n        <{key}>{rule}</{key}>"
    constraints += "\n        <max_threads><max>32</max></max_threads>"
    return f"""
    <{name}>{lines}
      <constraints>{constraints}
      </constraints>
    </{name}>"""
