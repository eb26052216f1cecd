"""Every field of a record has its column, and what its JSON leaves out comes back as the default."""

import msgspec

from schemas.records import Event, Session
from schemas.tables import Values, migrations
from stream_processors.sink.statements import INSERT_EVENTS, INSERT_SESSIONS


def columns_of(table: str) -> str:
    """The statements that make the table, and those that add to it."""
    begins = (f"CREATE TABLE IF NOT EXISTS sojourn.{table} ", f"ALTER TABLE sojourn.{table} ")
    found = [
        statement
        for migration in migrations(Values())
        for statement in migration.statements
        if any(begin in statement for begin in begins)
    ]
    return "\n".join(found).replace("ADD COLUMN IF NOT EXISTS ", "")


def test_every_field_of_a_record_is_a_column_of_its_table() -> None:
    for record, table, renamed in (
        (Event, "events", {"offset": "_offset", "index": "_index"}),
        (Session, "sessions", {}),
    ):
        ddl = columns_of(table)
        for field in msgspec.structs.fields(record):
            assert f"\n    {renamed.get(field.name, field.name)} " in ddl, f"{table} has no column for {field.name}"


def test_times_become_datetimes_and_nothing_else_does() -> None:
    assert "fromUnixTimestamp64Micro(`time`, 'UTC')" in INSERT_EVENTS
    assert "`started` Nullable(Int64)" in INSERT_EVENTS
    assert "fromUnixTimestamp64Micro(`ended_at`, 'UTC')" in INSERT_SESSIONS
    assert "fromUnixTimestamp64Micro(`revision`" not in INSERT_SESSIONS


def test_defaults_that_are_left_out_of_the_json_come_back() -> None:
    assert "if(`kind` = '', 'other', `kind`)" in INSERT_EVENTS
    assert "if(`details` = '', '{}', `details`)" in INSERT_EVENTS
    assert "if(`state` = '', 'open', `state`)" in INSERT_SESSIONS
    assert "if(`duration_quality` = '', 'unknown', `duration_quality`)" in INSERT_SESSIONS


def test_no_value_is_ever_part_of_the_text() -> None:
    for name in ("epoch:String", "topic:String", "partition:UInt32", "owner:UInt64", "ingested_at:Int64"):
        assert "{" + name + "}" in INSERT_EVENTS
