"""The commands that look after what went wrong: ``replay``, ``reconcile`` and ``dead-letters``."""

from typing import Annotated

import typer

from deploy.commands.common import fail, read_settings, silence_libraries

# The vocabulary of the options; nothing else of ours is loaded before a command needs it.
from schemas.dead_letters import Reason, Stage

app = typer.Typer()
letters_app = typer.Typer(help="Records that could not be used.", rich_markup_mode=None)


@app.command()
def replay(
    topic: Annotated[str, typer.Option(help="A topic that sensors write, e.g. sensor.events.")],
    start: Annotated[int, typer.Option("--from", min=0, help="First offset.")],
    to: Annotated[
        int | None, typer.Option(min=0, help="Last offset; never beyond what the sink has committed.")
    ] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="One partition only.")] = None,
    redecode: Annotated[
        bool, typer.Option("--redecode", help="Also replace the rows that are there by what this version decodes.")
    ] = False,
) -> None:
    """Read a range of a topic again and store the rows that events lacks; beside a running sink, too.

    Exit code 1 when ClickHouse refused rows: one line each on stderr.
    """
    settings = read_settings()
    from deploy.replay import ReplayError, run_redecode, run_replay

    silence_libraries()
    try:
        if redecode:
            again = run_redecode(settings, topic, start, to, partition)
            for place, why in again.refused.items():
                typer.echo(f"{place}: refused: {why}", err=True)
            typer.echo(
                f"{again.messages} messages, {again.rows} rows in place of {again.replaced}; {again.kept} messages "
                f"that cannot be decoded keep their rows; {len(again.hours)} hours counted again"
            )
            raise typer.Exit(1 if again.refused else 0)
        found = run_replay(settings, topic, start, to, partition)
    except ReplayError as error:
        fail(str(error), 1)
        raise
    refused = {place: why for one in found.values() for place, why in one.refused.items()}
    for place, why in refused.items():
        typer.echo(f"{place}: refused: {why}", err=True)
    read, rows = sum(one.messages for one in found.values()), sum(one.rows for one in found.values())
    missing = sum(one.missing for one in found.values())
    typer.echo(f"{read} messages, {rows} rows: {missing} were missing, {missing - len(refused)} of them are stored now")
    raise typer.Exit(1 if refused else 0)


@app.command()
def reconcile(
    start: Annotated[str, typer.Option("--from", help="Event time, e.g. 2026-11-22T00:00:00Z; without a zone: UTC.")],
    to: Annotated[str, typer.Option("--to", help="Event time; excluded.")],
    apply: Annotated[bool, typer.Option("--apply", help="Repair: store missing rows, publish corrected sessions.")] = (
        False
    ),
    settled: Annotated[
        float, typer.Option(min=0, help="Seconds that a session must not have changed; later ones are left out.")
    ] = 60.0,
) -> None:
    """Make the sessions of a range once more of what events holds, and say what differs, field by field.

    Also says which offsets of a partition have no row though they should, and which rows are stored twice. Exit code 0
    when all is right, or was repaired, 1 when something is left.
    """
    settings = read_settings()
    from deploy.reconcile import ReconcileError, run_reconcile
    from schemas.times import parse_time

    silence_libraries()
    bounds = []
    for name, text in (("--from", start), ("--to", to)):
        try:
            bounds.append(parse_time(text))
        except ValueError:
            fail(f"{name} {text}: a time like 2026-11-22T01:04:19Z was expected", 2)
    try:
        found = run_reconcile(settings, bounds[0], bounds[1], apply, settled, typer.echo)
    except ReconcileError as error:
        fail(str(error), 1)
        raise
    typer.echo(
        f"{found.sessions} sessions: {found.different} differ, {found.published} repaired;"
        f" rows of events: {found.missing_rows} missing, {found.restored_rows} stored now, {found.double_rows} double"
        + (f"; {found.unsettled} sessions changed less than {settled:g} s ago: left out" if found.unsettled else "")
    )
    raise typer.Exit(1 if found.is_wrong else 0)


_ReasonOption = Annotated[Reason | None, typer.Option(help="Only letters with this reason.")]
_StageOption = Annotated[Stage | None, typer.Option(help="Only letters of this stage.")]
_FromOption = Annotated[int, typer.Option("--from", min=0, help="Begin at this offset of dead-letters.")]


@letters_app.command("list")
def letters_list(
    reason: _ReasonOption = None,
    stage: _StageOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many are shown.")] = 50,
    start: _FromOption = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List what is open, oldest first: neither replayed nor dropped. A letter written twice counts once."""
    settings = read_settings()
    from deploy.dead_letters import DeadLettersError, list_letters
    from stream_processors.dead_letters.reading import Wanted

    silence_libraries()
    try:
        list_letters(settings, Wanted(reason, stage, start), limit, as_json)
    except DeadLettersError as error:
        fail(str(error), 1)


@letters_app.command("show")
def letters_show(
    key: Annotated[str, typer.Argument(help="As the list has it, or with the epoch before it.")],
    as_json: Annotated[bool, typer.Option("--json", help="The letter as it is on the topic.")] = False,
) -> None:
    """Print one letter whole: reason, place, headers, and the original bytes as text or hex."""
    settings = read_settings()
    from deploy.dead_letters import DeadLettersError, show_letter

    silence_libraries()
    try:
        show_letter(settings, key, as_json)
    except DeadLettersError as error:
        fail(str(error), 1)


@letters_app.command("replay")
def letters_replay(
    reason: _ReasonOption = None,
    stage: _StageOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Letters replayed or dropped at most.")] = 1000,
    start: _FromOption = 0,
    on_error: Annotated[
        str, typer.Option(metavar="stop|put-back|drop", help="What to do with a letter that cannot be replayed.")
    ] = "stop",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, publish nothing.")] = False,
) -> None:
    """Publish original bytes again, to the topic they came from, oldest letter first; each letter once.

    A letter cannot be replayed when it is a hole, when its value was cut, or when this version refuses its bytes, too:
    one line on stderr says so. Exit code 1 when that stopped the replay.
    """
    settings = read_settings()
    from deploy.dead_letters import DeadLettersError, replay_letters
    from stream_processors.dead_letters.reading import Wanted
    from stream_processors.dead_letters.replaying import OnError

    silence_libraries()
    if on_error not in [policy.value for policy in OnError]:
        fail(f"--on-error {on_error}: stop, put-back or drop was expected", 2)
    wanted = Wanted(reason, stage, start)
    try:
        tally = replay_letters(
            settings, wanted, OnError(on_error), limit, dry_run, lambda line: typer.echo(line, err=True)
        )
    except DeadLettersError as error:
        fail(str(error), 1)
        raise
    done = f"{tally.replayed} replayed, {tally.dropped} dropped, {tally.put_back} put back"
    typer.echo(f"would be: {done}" if dry_run else done)
    raise typer.Exit(1 if tally.stopped else 0)
