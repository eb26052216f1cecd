"""What the users of the embedded ClickHouse can and cannot do."""

import base64
import http.client
import os
import stat
from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.stack import Stack

pytestmark = pytest.mark.integration

ACCESS_DENIED = "code: 497"
CONSTRAINT = "code: 452"
READONLY = "code: 164"
TIMEOUT = "code: 159"


@pytest.fixture(autouse=True)
def _embedded_only(stack: Stack) -> None:
    if stack.kind != "embedded":
        pytest.skip(f"about the embedded ClickHouse, --stack={stack.kind} was asked for")


@pytest.fixture
def analyst(stack: Stack) -> Iterator[Client]:
    with clickhouse_connect.get_client(dsn=stack.settings.clickhouse.url, username="analyst") as client:
        yield client


@pytest.fixture
def api(stack: Stack) -> Iterator[Client]:
    store = stack.settings.clickhouse
    with clickhouse_connect.get_client(dsn=store.url, username="api", password=store.reader_password) as client:
        yield client


def _ask(stack: Stack, path: str = "/", **headers: str) -> tuple[int, str]:
    host, _, port = stack.settings.clickhouse.url.removeprefix("http://").rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, body="SELECT currentUser()", headers=named)
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


def _basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_the_analyst_reads_tables_and_their_comments(analyst: Client) -> None:
    assert analyst.query("SELECT count() FROM sojourn.events").result_rows[0][0] >= 0
    assert analyst.query("SELECT count() FROM sojourn.sessions_current").result_rows[0][0] >= 0
    columns = analyst.query("SELECT count(), countIf(comment = '') FROM system.columns WHERE table = 'events'")
    assert columns.result_rows[0][0] > 20
    assert columns.result_rows[0][1] == 0


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO sojourn.events (sensor, time) VALUES ('x', 0)",
        "CREATE TABLE sojourn.mine (x Int8) ENGINE = MergeTree ORDER BY x",
        "CREATE TEMPORARY TABLE mine (x Int8)",
        "CREATE DATABASE mine",
        "CREATE USER mine",
        "DROP TABLE sojourn.events",
        "TRUNCATE TABLE sojourn.events",
        "ALTER TABLE sojourn.events DELETE WHERE 1",
        "SELECT * FROM file('/etc/passwd', 'LineAsString', 'l String')",
        "SELECT * FROM file('*', 'One')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'l String')",
        "SELECT * FROM remote('127.0.0.1', system.one)",
        "SELECT * FROM s3('http://127.0.0.1:1/x.csv', 'NOSIGN', 'CSV', 'l String')",
        "SELECT * FROM executable('x', 'CSV', 'l String')",
        "SELECT * FROM system.processes",
        "SELECT * FROM system.parts",
        "SYSTEM STOP LISTEN HTTP",
        "SYSTEM SHUTDOWN",
        "KILL QUERY WHERE 1",
    ],
)
def test_the_analyst_cannot_write_read_files_or_open_urls(analyst: Client, statement: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        analyst.command(statement)
    assert ACCESS_DENIED in str(caught.value) or READONLY in str(caught.value), caught.value


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/etc/shadow", "{data}/passwords.json", "../passwords.json", "/proc/{pid}/environ"]
)
def test_the_function_file_reads_nothing_outside_the_servers_folder(analyst: Client, stack: Stack, path: str) -> None:
    assert stack.folder is not None
    if "not confined" in (stack.folder / "logs" / "clickhouse.log").read_text(encoding="utf-8"):
        pytest.skip("this kernel has no Landlock of version 2 or newer: docs/operations.md says what that means")
    text = path.format(data=stack.folder.resolve(), pid=os.getpid())
    with pytest.raises(DatabaseError):
        analyst.query("SELECT file({path:String})", parameters={"path": text})
    own = analyst.query("SELECT file('/proc/self/environ')").result_rows[0][0]
    assert "SOJOURN" not in own
    assert "PASSWORD" not in own.upper()


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM python('x')", "SELECT * FROM python('x') SETTINGS allow_python_table_function = 1"]
)
def test_the_analyst_cannot_end_the_server_by_its_function_for_python(analyst: Client, statement: str) -> None:
    with pytest.raises(DatabaseError, match="allow_python_table_function"):
        analyst.command(statement)
    assert analyst.query("SELECT 1").result_rows == [(1,)]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_execution_time", 31),
        ("max_execution_time", 0),
        ("max_memory_usage", 0),
        ("max_memory_usage", 5 << 30),
        ("max_untracked_memory", 1 << 40),
        ("max_hyperscan_regexp_total_length", 0),
        ("max_temporary_data_on_disk_size_for_query", 0),
        ("max_threads", 1000),
        ("timeout_overflow_mode", "break"),
        ("log_queries", 0),
    ],
)
def test_the_analyst_cannot_raise_a_limit(analyst: Client, setting: str, value: object) -> None:
    with pytest.raises(DatabaseError, match=CONSTRAINT):
        analyst.command(f"SELECT 1 SETTINGS {setting} = {value!r}")


def test_the_analyst_cannot_leave_readonly(analyst: Client) -> None:
    with pytest.raises(DatabaseError, match=READONLY):
        analyst.command("SELECT 1 SETTINGS readonly = 0")


def test_the_api_reads_may_lower_its_limits_and_not_raise_them(api: Client) -> None:
    assert api.query("SELECT count() FROM sojourn.events").result_rows
    assert api.query("SELECT count() FROM system.parts").result_rows
    api.query("SELECT 1", settings={"max_execution_time": 1, "max_rows_to_read": 10})
    for setting in ("max_execution_time=11", "max_rows_to_read=3000000000", "max_memory_usage=3000000000"):
        with pytest.raises(DatabaseError, match=CONSTRAINT):
            api.command(f"SELECT 1 SETTINGS {setting}")
    with pytest.raises(DatabaseError, match=TIMEOUT):
        api.query(
            "SELECT sum(sleepEachRow(0.1)) FROM numbers(100)", settings={"max_execution_time": 1, "max_block_size": 1}
        )
    for statement in ("INSERT INTO sojourn.events (sensor, time) VALUES ('x', 0)", "SELECT * FROM file('x', 'One')"):
        with pytest.raises(DatabaseError) as caught:
            api.command(statement)
        assert ACCESS_DENIED in str(caught.value) or READONLY in str(caught.value)


def test_the_writer_can_insert_from_a_body_and_can_neither_write_files_nor_open_urls(stack: Stack) -> None:
    store = stack.settings.clickhouse
    with clickhouse_connect.get_client(dsn=store.url, username="writer", password=store.writer_password) as client:
        client.command(
            "INSERT INTO sojourn.sink_owners (epoch, topic, partition, owner) "
            "SELECT epoch, 'writer-test', 0, 1 FROM input('epoch String') FORMAT JSONEachRow",
            data='{"epoch": "e"}',
        )
        client.command("KILL QUERY WHERE query_id = 'there is none' SYNC")
        for statement in (
            "INSERT INTO FUNCTION file('leak.csv', 'CSV', 'l String') SELECT 'x'",
            "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'l String')",
            "CREATE TABLE sojourn.leak (l String) ENGINE = File(CSV)",
            "CREATE DATABASE other",
            "CREATE USER other",
        ):
            with pytest.raises(DatabaseError, match=ACCESS_DENIED):
                client.command(statement)


def test_the_query_apis_writer_changes_its_own_tables_only(stack: Stack) -> None:
    store = stack.settings.clickhouse
    with clickhouse_connect.get_client(
        dsn=store.url, username="api_writer", password=store.api_writer_password, database=store.database
    ) as client:
        client.command("INSERT INTO sps_snapshot_keys (snapshot, n) SELECT 'grants', 1")
        client.command("ALTER TABLE sps_snapshot_keys DROP PARTITION 'grants'")
        for statement in (
            "INSERT INTO sessions (session_id) SELECT 'x'",
            "ALTER TABLE sessions DELETE WHERE 1",
            "DROP TABLE sps_snapshot_keys",
            "CREATE TABLE leak (l String) ENGINE = Memory",
            "SELECT * FROM sink_owners",
            "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        ):
            with pytest.raises(DatabaseError, match=ACCESS_DENIED):
                client.command(statement)


@pytest.mark.parametrize("user", ["analyst", "api", "api_writer", "writer", "admin"])
def test_named_users_come_in_by_header_and_by_basic(stack: Stack, user: str) -> None:
    store = stack.settings.clickhouse
    passwords = {
        "api": store.reader_password,
        "api_writer": store.api_writer_password,
        "writer": store.writer_password,
        "admin": stack.admin_password,
    }
    password = passwords.get(user, "")
    assert _ask(stack, X_ClickHouse_User=user, X_ClickHouse_Key=password) == (200, user)
    assert _ask(stack, Authorization=_basic(user, password)) == (200, user)
    if password:
        assert _ask(stack, Authorization=_basic(user, "wrong"))[0] in (401, 403)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/?user=default", {}),
        ("/?user=analyst", {}),
        ("/", {"X_ClickHouse_User": "default"}),
        ("/", {"Authorization": _basic("default")}),
        ("/", {"Authorization": _basic("analyst"), "Host": "evil.example"}),
        ("/", {"X_ClickHouse_User": "analyst", "Host": "127.0.0.1.evil.example:8123"}),
        ("/play", {"X_ClickHouse_User": "analyst"}),
        ("/replicas_status", {"X_ClickHouse_User": "analyst"}),
    ],
)
def test_everything_else_is_not_found(stack: Stack, path: str, headers: dict[str, str]) -> None:
    status, text = _ask(stack, path, **headers)
    assert status == 404, text


def test_the_files_with_secrets_are_for_their_owner_only(stack: Stack) -> None:
    assert stack.folder is not None
    folder = stack.folder / "clickhouse"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in (stack.folder / "passwords.json", folder / "users.xml", folder / "config.xml"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert path.stat().st_uid == os.getuid()
