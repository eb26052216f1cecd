"""Tables from every earlier number: whoever stopped there gets what a fresh server gets."""

import clickhouse_connect
import msgspec
import pytest

from deploy import schema
from schemas.settings import Settings
from schemas.tables import Migration, Values, migrations
from tests.stack import Stack

pytestmark = pytest.mark.integration

COLUMNS = """
SELECT table, name, type, comment FROM system.columns WHERE database = {database:String} AND table != '.inner'
ORDER BY table, name
"""


def _settings(stack: Stack, database: str) -> Settings:
    """As administrator: the writer may only touch the database of its settings."""
    if stack.kind != "embedded":
        pytest.skip("needs databases of its own, which only the embedded server's administrator may make here")
    store = msgspec.structs.replace(
        stack.settings.clickhouse, database=database, writer="admin", writer_password=stack.admin_password
    )
    return msgspec.structs.replace(stack.settings, clickhouse=store)


def _columns(settings: Settings) -> list[tuple[str, ...]]:
    store = settings.clickhouse
    with clickhouse_connect.get_client(dsn=store.url, username="admin", password=store.writer_password) as client:
        return [tuple(row) for row in client.query(COLUMNS, parameters={"database": store.database}).result_rows]


def _drop(settings: Settings) -> None:
    store = settings.clickhouse
    with clickhouse_connect.get_client(dsn=store.url, username="admin", password=store.writer_password) as client:
        client.command("DROP DATABASE {database:Identifier} SYNC", parameters={"database": store.database})


@pytest.mark.parametrize("number", range(1, len(migrations(Values()))))
def test_from_every_earlier_number_the_same_tables(stack: Stack, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(stack, f"from_{number}")

    def earlier(values: Values) -> list[Migration]:
        return migrations(values)[:number]

    with monkeypatch.context() as patched:
        patched.setattr(schema, "migrations", earlier)
        assert len(schema.apply_tables(settings)) == number
    assert schema.apply_tables(settings)[0].number == number + 1
    assert schema.apply_tables(settings) == []
    fresh = _settings(stack, f"from_nothing_{number}")
    schema.apply_tables(fresh)
    assert _columns(settings) == _columns(fresh)
    for made in (settings, fresh):
        _drop(made)


def test_names_that_were_said_before_there_was_a_table_for_them_are_taken_over(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(stack, "from_before_devices")
    before = next(one.number for one in migrations(Values()) if one.name.endswith("_devices.sql")) - 1
    with monkeypatch.context() as patched:
        patched.setattr(schema, "migrations", lambda values: migrations(values)[:before])
        schema.apply_tables(settings)
    store = settings.clickhouse
    with clickhouse_connect.get_client(
        dsn=store.url, username="admin", password=store.writer_password, database=store.database
    ) as client:
        event = {"sensor": "s", "mac": "AA:BB:CC:00:11:22", "category": "device", "time": "2025-08-01 10:00:00"}
        # Rows that were stored in 1970 would have expired.
        event["ingested_at"] = "2026-01-01 00:00:00"
        rows = [
            {**event, "details": '{"name":"printer","owner":"Ada"}'},
            {**event, "mac": "", "details": '{"name":"-"}'},
        ]
        client.raw_insert("events", insert_block=b"\n".join(map(msgspec.json.encode, rows)), fmt="JSONEachRow")
        schema.apply_tables(settings)
        assert client.query("SELECT device, mac, name, owner FROM devices").result_rows == [
            ("aabbcc001122", "AA:BB:CC:00:11:22", "printer", "Ada")
        ]
    _drop(settings)
