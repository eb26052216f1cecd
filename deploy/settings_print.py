"""``sojourn settings``: the one list of settings, as a table or as JSON lines."""

from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.settings import Setting

_MASK = "********"


class _Line(msgspec.Struct, frozen=True):
    name: str
    variable: str
    value: Any
    origin: str
    help: str


def _shown(setting: Setting) -> Any:
    """The value, or a mask for a secret that is set."""
    return _MASK if setting.secret and setting.value else setting.value


def settings_as_json(listed: list[Setting]) -> str:
    """One object per line: name, variable, value, origin, help."""
    lines = [_Line(s.name, s.variable, _shown(s), s.origin, s.help) for s in listed]
    return "\n".join(msgspec.json.encode(line).decode() for line in lines)


def settings_as_table(listed: list[Setting]) -> None:
    """Prints it. A value that somebody set is bold."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    for column in ("value", "origin", "help"):
        table.add_column(column, overflow="fold")
    for setting in listed:
        value = _shown(setting)
        text = msgspec.json.encode(value).decode() if isinstance(value, dict) else str(value)
        table.add_row(
            setting.name,
            Text(text, style="" if setting.origin == "default" else "bold"),
            setting.origin,
            Text(setting.help),
        )
    Console(highlight=False).print(table)
