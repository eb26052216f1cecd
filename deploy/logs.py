"""How the processes write their logs."""

import os
import sys

import structlog


def configure_logs() -> None:
    """As structlog does by itself, but with plain tracebacks: the rich ones show variables, passwords among them.

    Colours are for a terminal: in a file, where ``grep`` looks for words, they would stand between them.
    """
    *before, _ = structlog.get_config()["processors"]
    written = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
    )
    structlog.configure(processors=[*before, written])
