"""Numbered ClickHouse DDL, and the one place that reads it.

A migration is a file ``NNNN_name.sql`` with statements that may run again. Placeholders in braces are filled from
``Values``; nothing else in the text is interpreted.
"""

import re
from importlib import resources

import msgspec

_FILE = re.compile(r"^(\d{4})_\w+\.sql$")
_IDENTIFIER = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """What the DDL leaves open."""

    database: str = "sojourn"
    events_ttl_days: int = 365
    sessions_ttl_days: int = 365
    #: Blocks remembered per table for insert_deduplication_token; ClickHouse's own default of 0 doubles rows.
    deduplication_window: int = 10_000
    #: Name of the cluster for ON CLUSTER and Replicated engines; empty for one server.
    cluster: str = ""


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    statements: tuple[str, ...]


def migrations(values: Values) -> list[Migration]:
    """All migrations in order, rendered. Raises ValueError for a database or cluster name that is no identifier."""
    for name in (values.database, values.cluster):
        if name and not _IDENTIFIER.match(name):
            raise ValueError(f"{name!r} is no identifier: letters, digits and underscores were expected")
    fill = {
        "{database}": values.database,
        "{events_ttl_days}": str(values.events_ttl_days),
        "{sessions_ttl_days}": str(values.sessions_ttl_days),
        "{deduplication_window}": str(values.deduplication_window),
        "{on_cluster}": f"ON CLUSTER {values.cluster}" if values.cluster else "",
        "{replicated}": "Replicated" if values.cluster else "",
    }
    found = []
    for file in resources.files(__name__).iterdir():
        match = _FILE.match(file.name)
        if not match:
            continue
        text = file.read_text(encoding="utf-8")
        for placeholder, value in fill.items():
            text = text.replace(placeholder, value)
        # A statement ends with a semicolon at the end of a line; none of our literals does.
        statements = tuple(part.strip() for part in re.split(r";\s*\n", text) if _has_sql(part))
        found.append(Migration(int(match.group(1)), file.name, statements))
    found.sort(key=lambda migration: migration.number)
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are not numbered 1..{len(found)} without gaps")
    return found


def _has_sql(part: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("--") for line in part.splitlines())
