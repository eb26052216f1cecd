"""Applies the numbered DDL to a ClickHouse, embedded or not; running it again changes nothing."""

from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from schemas.settings import Settings
from schemas.tables import Migration, Values, migrations

_LEDGER = """
CREATE TABLE IF NOT EXISTS {database}.schema_migrations {on_cluster}
(
    number     UInt32                              COMMENT 'Number of the migration',
    name       String                              COMMENT 'Its file',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was applied'
)
ENGINE = {engine}
ORDER BY number
COMMENT 'Which numbered DDL was applied here'
"""


class SchemaError(RuntimeError):
    """The tables could not be made; the text says where and why."""


def values_of(settings: Settings) -> Values:
    """What the DDL leaves open, out of the settings."""
    store = settings.clickhouse
    return Values(
        database=store.database,
        events_ttl_days=store.events_ttl_days,
        sessions_ttl_days=store.sessions_ttl_days,
        cluster=store.cluster,
    )


def apply_tables(settings: Settings) -> list[Migration]:
    """Applies what ``schema_migrations`` does not list, in order, and returns it.

    A migration that broke off half-way is applied again as a whole: its statements may run twice. Raises SchemaError.
    """
    try:
        with _client(settings) as client:
            return _apply(client, values_of(settings))
    except OperationalError as error:
        raise SchemaError(
            f"ClickHouse at {settings.clickhouse.url} does not answer; start it, or correct the URL"
        ) from error
    except ClickHouseError as error:
        lines = str(error).strip().splitlines()
        raise SchemaError(f"ClickHouse at {settings.clickhouse.url}: {lines[0] if lines else 'no answer'}") from error


def _client(settings: Settings) -> Client:
    store = settings.clickhouse
    options: dict[str, Any] = {"dsn": store.url, "username": store.writer, "password": store.writer_password}
    # Not the database of the settings: it may not exist yet.
    return clickhouse_connect.get_client(**options, database="", autogenerate_session_id=False)


def _apply(client: Client, values: Values) -> list[Migration]:
    database = values.database
    on_cluster = f"ON CLUSTER {values.cluster}" if values.cluster else ""
    engine = "ReplicatedMergeTree" if values.cluster else "MergeTree"
    # The names are identifiers: ``migrations`` refuses anything else.
    wanted = migrations(values)
    client.command(f"CREATE DATABASE IF NOT EXISTS {database} {on_cluster}")
    client.command(_LEDGER.format(database=database, on_cluster=on_cluster, engine=engine))
    listed = client.query(f"SELECT DISTINCT number FROM {database}.schema_migrations")  # noqa: S608
    done = {row[0] for row in listed.result_rows}
    applied = []
    for migration in wanted:
        if migration.number in done:
            continue
        for statement in migration.statements:
            client.command(statement)
        client.insert(
            f"{database}.schema_migrations",
            [[migration.number, migration.name]],
            column_names=["number", "name"],
            settings={"async_insert": 0},
        )
        applied.append(migration)
    return applied
