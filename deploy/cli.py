"""The command ``sojourn``; the commands themselves are in ``deploy.commands``."""

import sys

import typer

from deploy.commands import auth, producing, repair, services, upkeep
from deploy.commands.common import fail

app = typer.Typer(
    help="Sensors to Kafka to sessions to ClickHouse to HTTP.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# In the order in which --help lists them.
app.add_typer(services.app)
app.add_typer(producing.app)
app.add_typer(upkeep.schema_app, name="schema")
app.add_typer(auth.app, name="auth")
app.add_typer(repair.app)
app.add_typer(repair.letters_app, name="dead-letters")
app.add_typer(upkeep.docs_app, name="docs")
app.add_typer(upkeep.app)

#: The base of every error about usage. typer brings its own copy of click since 0.2x and used click before: the
#: parent of its public error is the right class in both.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def main() -> None:
    """One line on stderr for what may go wrong: exit code 2 for wrong usage, 1 for everything else."""
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        words = getattr(error, "format_message", error.__str__)()
        if words.startswith(("Missing command", "No such command")):
            place = getattr(getattr(error, "ctx", None), "command_path", "sojourn")
            words += f" `{place} --help` lists what there is"
        fail(words, 2)
    except typer.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
