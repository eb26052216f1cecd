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
