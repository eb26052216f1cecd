"""NetAlertX's own database file, read row by row: its table Events."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

from producers.files import STDIN, UnreadableFileError
from producers.lines import Line
from producers.tables import require_columns, row_of

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


async def event_rows(path: str, zone: ZoneInfo, stop: asyncio.Event) -> AsyncIterator[list[Line]]:
    """The rows of Events in the order they were written, as JSON. The database is only read.

    Raises UnreadableFileError where there is no such table, or not the columns that are needed.
    """
    number = 0
    try:
        database = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, check_same_thread=False)
        try:
            rows = await asyncio.to_thread(database.execute, "SELECT * FROM Events ORDER BY rowid")
            names = [column[0] for column in rows.description]
            require_columns(names)
            while not stop.is_set() and (some := await asyncio.to_thread(rows.fetchmany, _TOGETHER)):
                lines = []
                for row in some:
                    number += 1
                    values = [each.decode(errors="replace") if isinstance(each, bytes) else each for each in row]
                    value = row_of(dict(zip(names, values, strict=True)), zone)
                    lines.append(Line(number, len(value), value))
                yield lines
        finally:
            database.close()
    except sqlite3.Error as error:
        raise UnreadableFileError(f"SQLite: {error}") from error
