"""How the processes write their logs."""

import io
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog


def configure_logs() -> None:
    """As structlog does by itself, but with plain tracebacks: the rich ones show variables, passwords among them.

    Colours are for a terminal: in a file, where ``grep`` looks for words, they would stand between them. What clients
    and sensors made up is written so that no terminal obeys it.
    """
    *before, _ = structlog.get_config()["processors"]
    written = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty() and not os.environ.get("NO_COLOR"), exception_formatter=_traceback
    )
    structlog.configure(processors=[*before, _with_texts_escaped, written])


def _with_texts_escaped(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: _escaped(value) if isinstance(value, str) else value for key, value in event.items()}


def _traceback(to: TextIO, error: Any) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    to.write("\n".join(_escaped(line) for line in text.getvalue().split("\n")))


def _escaped(text: str) -> str:
    """Control characters, line ends among them, as Python writes them: ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
