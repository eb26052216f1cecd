"""Dead letters for the terminal: a table of them, one of them whole, or JSON."""

import sys
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.dead_letters import DeadLetter
from schemas.times import rfc3339
from stream_processors.dead_letters.reading import Found

#: Bytes of a record in one line of hex.
_HEX_LINE = 16
_WIDTH_OF_A_FILE = 200


class _Line(msgspec.Struct, frozen=True):
    """One letter of the list as JSON; ``key`` is the letter's, ``bytes`` the length of the record."""

    key: str
    stage: str
    reason: str
    field: str
    expected: str
    topic: str
    partition: int
    offset: int
    epoch: str
    time: str
    bytes: int
    cut: bool


def letters_as_json(listed: Sequence[tuple[str, DeadLetter, int]]) -> None:
    """Prints one object per line."""
    for key, letter, size in listed:
        line = _Line(
            key=key,
            stage=letter.stage,
            reason=letter.reason,
            field=letter.field,
            expected=letter.expected,
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            epoch=letter.epoch,
            time=rfc3339(letter.time),
            bytes=size,
            cut=letter.cut,
        )
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


def letters_as_table(listed: Sequence[tuple[str, DeadLetter]], summary: str) -> None:
    """Prints them and the summary.

    The key, without its epoch, is topic/partition/offset/stage; ``show`` takes it so.
    """
    if listed:
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("key", no_wrap=True)
        for column in ("reason", "field", "expected", "time"):
            table.add_column(column, overflow="fold")
        for key, letter in listed:
            cells = (key.partition("/")[2], letter.reason, letter.field, letter.expected, rfc3339(letter.time))
            table.add_row(*(Text(visible(cell)) for cell in cells))
        # Into a file or a pipe nothing is folded that need not be.
        Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE).print(table)
    sys.stdout.write(summary + "\n")


def whole_letter(found: Found, as_json: bool) -> None:
    """Prints everything; bytes that are text as text, others as hex. JSON has them as base64."""
    letter = found.letter
    if as_json:
        sys.stdout.write(msgspec.json.encode(letter).decode() + "\n")
        return
    lines = [
        f"key       {found.key}",
        f"state     {found.settlement or 'open'}",
        f"stage     {letter.stage}",
        f"reason    {letter.reason}",
        f"field     {letter.field}",
        f"expected  {letter.expected}",
        f"place     {letter.topic}, partition {letter.partition}, offset {letter.offset}, epoch {letter.epoch}",
        f"time      {rfc3339(letter.time)}",
        f"record's key  {'none' if letter.key is None else readable(letter.key)}",
    ]
    lines += [f"header    {name}: {readable(value)}" for name, value in letter.headers]
    if letter.value is None:
        lines.append("value     none")
    else:
        cut = ", only the beginning was kept" if letter.cut else ""
        lines += [f"value     {len(letter.value)} bytes{cut}", readable(letter.value)]
    sys.stdout.write("\n".join(visible(line) for line in lines) + "\n")


def readable(value: bytes) -> str:
    """Text where all of it is printable UTF-8, else lines of hex."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if text == visible(text) and (text or not value):
        return text
    return "\n".join(value[start : start + _HEX_LINE].hex(" ") for start in range(0, len(value), _HEX_LINE))


def visible(text: str) -> str:
    """Without control characters: what a sensor sent must not command the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
