"""NetAlertX's own database file, read row by row: its table Events, and the names in its table Devices."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

from producers.inputs.files import STDIN, UnreadableFileError
from producers.inputs.lines import Line
from producers.inputs.tables import EVENT_MOMENT, NAME_MOMENT, require_columns, row_of

_MAGIC = b"SQLite format 3\0"
_TOGETHER = 2_000


def is_database(path: str) -> bool:
    """Whether a file is a SQLite database, by its first bytes."""
    if path == STDIN:
        return False
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        # Whoever reads it says why it cannot be read.
        return False


#: What of Devices is read; the file of an older NetAlertX has other columns, and is read without names.
_COLUMNS = frozenset({"devMac", "devName", "devOwner", "devLastIP", "devLastConnection"})
_NAMES = (
    "SELECT devMac, devName, devOwner, devLastIP, devLastConnection FROM Devices"
    " WHERE devMac != '' AND devName != '' AND devLastConnection != '' ORDER BY devMac"
)


async def event_rows(path: str, zone: ZoneInfo, stop: asyncio.Event) -> AsyncIterator[list[Line]]:
    """The rows of Events in the order they were written, then those of Devices, as JSON. The database is only read.

    Raises UnreadableFileError where there is no table Events, or not the columns that are needed.
    """
    number = 0
    try:
        database = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, check_same_thread=False)
        try:
            rows = await asyncio.to_thread(database.execute, "SELECT * FROM Events ORDER BY rowid")
            require_columns([column[0] for column in rows.description])
            for cursor, moment in ((rows, EVENT_MOMENT), (_names(database), NAME_MOMENT)):
                while cursor and not stop.is_set() and (some := await asyncio.to_thread(cursor.fetchmany, _TOGETHER)):
                    columns = [column[0] for column in cursor.description]
                    values = [row_of(_record(columns, row), zone, moment) for row in some]
                    yield [Line(number + n, len(value), value) for n, value in enumerate(values, 1)]
                    number += len(some)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise UnreadableFileError(f"SQLite: {error}") from error


def _names(database: sqlite3.Connection) -> sqlite3.Cursor | None:
    """None where the file has no such columns."""
    there = {row[1] for row in database.execute("PRAGMA table_info(Devices)")}
    return database.execute(_NAMES) if there >= _COLUMNS else None


def _record(columns: list[str], row: tuple[object, ...]) -> dict[str, object]:
    values = (each.decode(errors="replace") if isinstance(each, bytes) else each for each in row)
    return dict(zip(columns, values, strict=True))
