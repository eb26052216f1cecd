"""Files whose lines mean something only under their header: Zeek's columns, NetAlertX's events as CSV.

Each line becomes the JSON object that it stands for, which is what is published: a decoder sees one message and no
header. Lines that are JSON already stay as they are.
"""

import csv
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from producers.formats.zeek_line import number_or_text
from producers.inputs.files import UnreadableFileError
from producers.inputs.lines import Line
from schemas.settings import Settings, SettingsError

#: Columns of NetAlertX's table Events without which a row says nothing.
EVENT_COLUMNS = ("eve_MAC", "eve_DateTime", "eve_EventType")
EVENT_MOMENT = "eve_DateTime"
#: The same of its table Devices.
NAME_MOMENT = "devLastConnection"

_encode = msgspec.json.Encoder().encode
_NUMBERS = frozenset({"time", "interval", "double", "count", "int", "port"})


class Table(Protocol):
    """What a file's header has said so far."""

    def convert(self, text: str) -> bytes | None:
        """The line as JSON; None for what is no record. Raises UnreadableFileError for a header that will not do."""
        ...


def table_of(format_name: str, settings: Settings) -> Callable[[], Table] | None:
    """How to begin a file of this format; None where each line speaks for itself. Raises SettingsError."""
    if format_name == "zeek":
        return ZeekTable
    if format_name == "netalertx":
        zone = zone_of(settings)
        return lambda: EventTable(zone)
    return None


def zone_of(settings: Settings) -> ZoneInfo:
    """The zone in which NetAlertX writes its times. Raises SettingsError."""
    name = settings.formats.netalertx_timezone
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(f"formats.netalertx_timezone: there is no time zone {name!r}") from error


def converted(lines: Sequence[Line], table: Table) -> list[Line]:
    """The same lines, those that are no records blank; what is too long, JSON or not UTF-8 stays as it is."""
    found = []
    for line in lines:
        if line.value is not None and not line.value.lstrip().startswith(b"{"):
            try:
                value = table.convert(line.value.decode()) if line.value.strip() else b""
                line = Line(line.number, line.size, value or b"")
            except UnicodeDecodeError:
                # Its decoder says so.
                pass
        found.append(line)
    return found


class ZeekTable:
    """A log with Zeek's header: ``#separator``, ``#fields``, ``#types``, ``#path`` …"""

    def __init__(self) -> None:
        self._separator = "\t"
        self._said: dict[str, list[str]] = {}

    def convert(self, text: str) -> bytes | None:
        """Header lines are taken in; a file without ``#fields`` is left to the decoder."""
        if text.startswith("#separator "):
            self._separator = text.removeprefix("#separator ").encode().decode("unicode_escape")
            return None
        columns = text.split(self._separator)
        if text.startswith("#"):
            self._said[columns[0]] = columns[1:]
            return None
        names = self._said.get("#fields")
        if names is None or len(names) != len(columns):
            return text.encode()
        types = self._said.get("#types") or ["string"] * len(names)
        record = {
            name: self._value(kind, column)
            for name, kind, column in zip(names, types, columns, strict=False)
            if column != self._word("#unset_field", "-")
        }
        path = self._word("#path", "")
        return _encode({"_path": path, **record} if path and "_path" not in record else record)

    def _value(self, kind: str, text: str) -> object:
        if kind.startswith(("set[", "vector[")):
            inner = kind[kind.index("[") + 1 : -1]
            if text == self._word("#empty_field", "(empty)"):
                return []
            return [self._value(inner, each) for each in text.split(self._word("#set_separator", ","))]
        if kind in _NUMBERS:
            return number_or_text(text)
        if kind == "bool" and text in ("T", "F"):
            return text == "T"
        return "" if text == self._word("#empty_field", "(empty)") else text

    def _word(self, name: str, default: str) -> str:
        said = self._said.get(name)
        return said[0] if said else default


class EventTable:
    """NetAlertX's table Events as CSV, columns in any order."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._names: list[str] | None = None

    def convert(self, text: str) -> bytes | None:
        """The first line names the columns."""
        try:
            columns = next(csv.reader([text], strict=True))
        except csv.Error:
            return text.encode()
        if self._names is None:
            self._names = [name.strip() for name in columns]
            require_columns(self._names)
            return None
        if len(columns) != len(self._names):
            return text.encode()
        return row_of(dict(zip(self._names, columns, strict=True)), self._zone)


def require_columns(names: Sequence[str]) -> None:
    """Raises UnreadableFileError that names the first column that is missing."""
    missing = next((name for name in EVENT_COLUMNS if name not in names), None)
    if missing is not None:
        raise UnreadableFileError(f"there is no column {missing}; the first line has {', '.join(names)[:200]}")


def row_of(row: dict[str, object], zone: ZoneInfo, column: str = EVENT_MOMENT) -> bytes:
    """One row as JSON; the time in ``column`` gets the offset that the zone had then, where it has none."""
    moment = row.get(column)
    if isinstance(moment, str):
        try:
            read = datetime.fromisoformat(moment.strip())
        except ValueError:
            # The decoder says what is wrong with it.
            return _encode(row)
        if read.tzinfo is None:
            row = {**row, column: read.replace(tzinfo=zone).isoformat(sep=" ")}
    return _encode(row)
