"""What commands share: one line for what is wrong, the settings, the beginning of a service."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.settings import Settings


def fail(text: str, code: int) -> None:
    sys.stderr.write(f"sojourn: {' '.join(text.split())}\n")
    sys.exit(code)


def silence_libraries() -> None:
    """Kafka's and ClickHouse's clients log what we say ourselves, in words for the person at the terminal."""
    import logging

    logging.getLogger().addHandler(logging.NullHandler())


def begin_service(held: bool) -> None:
    """What every long-running process begins with, when it has loaded what it needs.

    A supervisor starts us early (``held``), so that loading costs nothing later; its end is the end of the input.
    """
    from deploy.logs import configure_logs
    from deploy.stacks import write_stacks_when_asked

    configure_logs()
    write_stacks_when_asked()
    if held and not sys.stdin.readline():
        sys.exit(1)


def read_settings(command_line: dict[str, object] | None = None) -> "Settings":
    from deploy.configuration import configure
    from schemas.settings import SettingsError

    try:
        return configure(command_line)[0]
    except SettingsError as error:
        fail(str(error), 2)
        raise
