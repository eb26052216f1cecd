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


def _apply_those_before(name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The migrations before the one whose file's name ends so."""
    number = next(one.number for one in migrations(Values()) if one.name.endswith(name)) - 1
    with monkeypatch.context() as patched:
        patched.setattr(schema, "migrations", lambda values: migrations(values)[:number])
        schema.apply_tables(settings)


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
    _apply_those_before("_devices.sql", settings, monkeypatch)
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


def test_a_session_that_is_retention_locked_outlives_its_days_until_it_is_unlocked(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(stack, "from_before_locks")
    # Nothing is old before the rule is replaced.
    lasting = msgspec.structs.replace(settings.clickhouse, sessions_ttl_days=4000)
    _apply_those_before("_retention_locked.sql", msgspec.structs.replace(settings, clickhouse=lasting), monkeypatch)
    store = settings.clickhouse
    with clickhouse_connect.get_client(
        dsn=store.url, username="admin", password=store.writer_password, database=store.database
    ) as client:

        def add(session: str, revision: int, *, locked: bool, days: int) -> None:
            client.command(
                "INSERT INTO sessions (sensor, session_id, state, started_at, last_activity_at, revision, created_at,"
                " modified_at, retention_locked) SELECT 's', {id:String}, 'closed', moment, moment, {revision:UInt64},"
                " moment, now64(6) - toIntervalDay({days:Int64}) AS moment, {locked:UInt8}",
                parameters={"id": session, "revision": revision, "days": days, "locked": int(locked)},
            )

        def left() -> list[str]:
            client.command("OPTIMIZE TABLE sessions FINAL", settings={"mutations_sync": 2, "alter_sync": 2})
            return [row[0] for row in client.query("SELECT session_id FROM sessions_all ORDER BY 1").result_rows]

        add("locked", 1, locked=True, days=400)
        add("forgotten", 1, locked=False, days=400)
        add("young", 1, locked=False, days=300)
        # An expired version from before the lock does not take the session with it, nor one from before it was opened.
        add("locked later", 1, locked=False, days=500)
        add("locked later", 2, locked=True, days=400)
        assert schema.apply_tables(settings)
        assert left() == ["locked", "locked later", "young"]
        add("locked", 2, locked=False, days=0)
        assert left() == ["locked", "locked later", "young"]
        # A year on.
        client.command(
            "ALTER TABLE sessions UPDATE modified_at = now64(6) - toIntervalDay(366) WHERE session_id = 'locked'",
            settings={"mutations_sync": 2},
        )
        assert left() == ["locked later", "young"]
    _drop(settings)


def test_what_was_counted_before_counts_knew_their_partition_is_counted_there_and_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(stack, "from_before_places")
    _apply_those_before("_rollups_by_place.sql", settings, monkeypatch)
    store = settings.clickhouse
    with clickhouse_connect.get_client(
        dsn=store.url, username="admin", password=store.writer_password, database=store.database
    ) as client:

        def add(partition: int, count: int) -> None:
            event = {"sensor": "s", "kind": "command", "time": "2025-08-01 10:00:00", "_epoch": "e", "_topic": "t"}
            rows = [
                {**event, "_partition": partition, "_offset": offset, "ingested_at": "2026-01-01 00:00:00"}
                for offset in range(count)
            ]
            client.raw_insert("events", insert_block=b"\n".join(map(msgspec.json.encode, rows)), fmt="JSONEachRow")

        def counted() -> list[tuple[str, int, int]]:
            sums = "SELECT _epoch, _partition, sum(events) FROM events_by_hour GROUP BY ALL HAVING sum(events) > 0"
            return [tuple(row) for row in client.query(sums + " ORDER BY ALL").result_rows]

        add(0, 3)
        # The events of this one are gone, and were counted.
        client.command(
            "INSERT INTO events_by_hour (hour, sensor, kind, events) VALUES ('2020-01-01', 's', 'command', 5)"
        )
        schema.apply_tables(settings)
        assert counted() == [("", 0, 5), ("e", 0, 3)]
        add(1, 4)
        assert counted() == [("", 0, 5), ("e", 0, 3), ("e", 1, 4)]
        # Whoever was interrupted runs it again.
        for statement in next(
            one for one in migrations(schema.values_of(settings)) if one.name.endswith("_rollups_by_place.sql")
        ).statements:
            client.command(statement)
        assert counted() == [("", 0, 5), ("e", 0, 3), ("e", 1, 4)]
    _drop(settings)
