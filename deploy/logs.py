"""How the processes write their logs."""

import structlog


def configure_logs() -> None:
    """As structlog does by itself, but with plain tracebacks: the rich ones show variables, passwords among them."""
    *before, _ = structlog.get_config()["processors"]
    written = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*before, written])
