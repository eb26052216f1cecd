"""The command ``sojourn``. Imports are inside the commands: each starts only what it needs, and starts fast."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

# The vocabulary of the options; nothing else of ours is loaded before a command needs it.
from deploy.auth_cli import app as auth_app
from schemas.dead_letters import Reason, Stage

if TYPE_CHECKING:
    from schemas.settings import Settings

app = typer.Typer(
    help="Sensors to Kafka to sessions to ClickHouse to HTTP.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
schema_app = typer.Typer(help="Topics and tables.", rich_markup_mode=None)
docs_app = typer.Typer(help="Generated documents.", rich_markup_mode=None)
app.add_typer(schema_app, name="schema")
app.add_typer(docs_app, name="docs")
letters_app = typer.Typer(help="Records that could not be used.", rich_markup_mode=None)
app.add_typer(letters_app, name="dead-letters")
app.add_typer(auth_app, name="auth")

#: The base of every error about usage. typer brings its own copy of click since 0.2x and used click before: the
#: parent of its public error is the right class in both.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


_Held = Annotated[bool, typer.Option("--held", hidden=True, help="Load, then wait for a line on standard input.")]


def main() -> None:
    """One line on stderr for what may go wrong: exit code 2 for wrong usage, 1 for everything else."""
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        words = getattr(error, "format_message", error.__str__)()
        if words.startswith(("Missing command", "No such command")):
            place = getattr(getattr(error, "ctx", None), "command_path", "sojourn")
            words += f" `{place} --help` lists what there is"
        _fail(words, 2)
    except typer.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int) -> None:
    sys.stderr.write(f"sojourn: {' '.join(text.split())}\n")
    sys.exit(code)


def _silence_libraries() -> None:
    """Kafka's and ClickHouse's clients log what we say ourselves, in words for the person at the terminal."""
    import logging

    logging.getLogger().addHandler(logging.NullHandler())


def _begin_service(held: bool) -> None:
    """What every long-running process begins with, when it has loaded what it needs.

    A supervisor starts us early (``held``), so that loading costs nothing later; its end is the end of the input.
    """
    from deploy.logs import configure_logs
    from deploy.stacks import write_stacks_when_asked

    configure_logs()
    write_stacks_when_asked()
    if held and not sys.stdin.readline():
        sys.exit(1)


def _settings(command_line: dict[str, object] | None = None) -> "Settings":
    from deploy.configuration import configure
    from schemas.settings import SettingsError

    try:
        return configure(command_line)[0]
    except SettingsError as error:
        _fail(str(error), 2)
        raise


_TlsCert = Annotated[str | None, typer.Option(help="Certificate of the query API, PEM with its chain.")]
_TlsKey = Annotated[str | None, typer.Option(help="Key of the certificate, PEM.")]
_TlsSelfSigned = Annotated[
    bool, typer.Option("--tls-self-signed", help="TLS with a certificate of its own, made in the data folder.")
]


@app.command()
def up(
    data: Annotated[str | None, typer.Option(help="Folder for everything that is kept (sojourn-data).")] = None,
    http: Annotated[str | None, typer.Option(help="HOST:PORT of the query API (127.0.0.1:8080).")] = None,
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT of the embedded broker (127.0.0.1:9092).")] = None,
    clickhouse: Annotated[
        str | None, typer.Option(help="HOST:PORT of the embedded ClickHouse's HTTP (127.0.0.1:8123).")
    ] = None,
    clickhouse_native: Annotated[
        str | None, typer.Option(help="HOST:PORT of its native protocol (the HTTP port + 877).")
    ] = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Data in a temporary folder, removed at the end.")] = (
        False
    ),
    kafka_bootstrap: Annotated[
        str | None, typer.Option(help="Brokers that run already, HOST:PORT,…; no embedded broker is started.")
    ] = None,
    clickhouse_url: Annotated[
        str | None, typer.Option(help="A ClickHouse that runs already, http://HOST:PORT; no embedded one is started.")
    ] = None,
    broker_memory: Annotated[
        str | None, typer.Option(help="Memory at which the embedded broker is drained and starts anew (1GiB); 0 never.")
    ] = None,
    tls_cert: _TlsCert = None,
    tls_key: _TlsKey = None,
    tls_self_signed: _TlsSelfSigned = False,
    demo: Annotated[bool, typer.Option("--demo", help="Play a recording through it and show the sessions.")] = False,
    load: Annotated[
        float | None,
        typer.Option(
            min=0, max=10_000, help="Then so many generated records a second, until it ends (2 with --demo, else 0)."
        ),
    ] = None,
) -> None:
    """Start, supervise and stop the whole pipeline."""
    from deploy.addresses import AddressError
    from deploy.errors import CannotStartError
    from deploy.plan import Options
    from deploy.up import run_up
    from schemas.settings import SettingsError

    _silence_libraries()
    if ephemeral and data is not None:
        _fail("--ephemeral keeps nothing, --data says where to keep it: only one of them was expected", 2)
    options = Options(
        data=data,
        http=http,
        kafka=kafka,
        clickhouse=clickhouse,
        clickhouse_native=clickhouse_native,
        kafka_bootstrap=kafka_bootstrap,
        clickhouse_url=clickhouse_url,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_self_signed=tls_self_signed,
        broker_memory=broker_memory,
    )
    try:
        raise typer.Exit(run_up(options, ephemeral, demo, load))
    except (AddressError, SettingsError) as error:
        _fail(str(error), 2)
    except CannotStartError as error:
        _fail(str(error), 1)


@app.command()
def process(held: _Held = False) -> None:
    """Run the worker alone: Faust agents that make sessions."""
    settings = _settings()
    from stream_processors.app import run_worker

    _begin_service(held)
    raise typer.Exit(run_worker(settings))


@app.command()
def sink(held: _Held = False) -> None:
    """Run the sink alone: Kafka into ClickHouse, exactly once."""
    settings = _settings()
    from stream_processors.sink import run_sink

    _begin_service(held)
    raise typer.Exit(run_sink(settings))


@app.command()
def backup(held: _Held = False) -> None:
    """Run the exports of marked sessions to the targets of backup.targets alone."""
    settings = _settings()
    from stream_processors.backup import run_backup

    _begin_service(held)
    raise typer.Exit(run_backup(settings))


@app.command()
def serve(
    http: Annotated[str | None, typer.Option(help="HOST:PORT to listen on (127.0.0.1:8080).")] = None,
    tls_cert: _TlsCert = None,
    tls_key: _TlsKey = None,
    tls_self_signed: _TlsSelfSigned = False,
    auth_file: Annotated[
        str | None, typer.Option(help="Users and tokens (credentials.json in the data folder).")
    ] = None,
    held: _Held = False,
) -> None:
    """Run the query API alone."""
    settings = _settings(
        {
            "http.listen": http,
            "http.tls_cert": tls_cert,
            "http.tls_key": tls_key,
            "http.tls_self_signed": tls_self_signed or None,
            "http.auth_file": auth_file,
        }
    )
    from query_api.main import run_server

    _begin_service(held)
    raise typer.Exit(run_server(settings))


@app.command()
def produce(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help="sojourn, cowrie, …; a wrong one lists all.")],
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…",
            help="Files, patterns, directories, - for standard input, journal: or journal:UNIT for systemd's journal.",
        ),
    ],
    kafka: Annotated[str | None, typer.Option(help="Brokers, HOST:PORT,… (setting kafka.bootstrap).")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on where the last run stopped, and with what comes, until Ctrl-C.")
    ] = False,
    rate: Annotated[float, typer.Option(min=0, help="Lines a second at most; 0 is no limit.")] = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Publish nothing: show the records of the first lines, as JSON.")
    ] = False,
    positions: Annotated[
        str, typer.Option(metavar="FILE", help="Where --follow keeps how far it read. [default: in the data folder]")
    ] = "",
    from_start: Annotated[
        bool, typer.Option("--from-start", help="With --follow: forget how far the last run read.")
    ] = False,
) -> None:
    """Publish files of sensor records to Kafka.

    Each line is checked and published as it stands. A line that cannot be decoded is not published: the report at the
    end counts them by reason and names the first by file and line. Exit code: 0 when all was published, 1 when lines
    were rejected or a file ended too early, 2 when nothing could be read or Kafka is away. Ctrl-C ends it cleanly.
    """
    if dry_run and follow:
        _fail("--dry-run does not follow", 2)
    if not follow and (positions or from_start):
        _fail(f"{'--positions' if positions else '--from-start'} is for --follow", 2)
    settings = _settings({"kafka.bootstrap": kafka})
    from producers.dry_run import run_dry
    from producers.produce_screen import run_produce

    try:
        if dry_run:
            raise typer.Exit(run_dry(settings, format_name, files))
        raise typer.Exit(
            run_produce(
                *(settings, format_name, files),
                follow_files=follow,
                rate=rate,
                positions=positions,
                from_start=from_start,
            )
        )
    except ValueError as error:
        _fail(str(error), 2)


_Share = Annotated[float, typer.Option(min=0, max=1, help="Share of the records made.")]


@app.command()
def generate(
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="A file, or - for standard output; without it: Kafka.")
    ] = None,
    kafka: Annotated[str | None, typer.Option(help="Brokers, HOST:PORT,… (setting kafka.bootstrap).")] = None,
    format_name: Annotated[str, typer.Option("--format", help="sojourn or cowrie.")] = "sojourn",
    records: Annotated[int, typer.Option(min=0, help="Lines that are written.")] = 100_000,
    seed: Annotated[int, typer.Option(help="The same seed and options give the same lines.")] = 0,
    rate: Annotated[float, typer.Option(min=0, help="Lines a second; 0 is as fast as possible.")] = 0.0,
    start: Annotated[str, typer.Option(help="Event time of the beginning, or now.")] = "2026-01-01T00:00:00Z",
    density: Annotated[
        float | None, typer.Option(help="Records per second of event time. [default: the rate, else 1000]")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Sensors are called so, with a number.")] = "load-",
    sensors: Annotated[int, typer.Option(help="How many sensors.")] = 8,
    attackers: Annotated[int, typer.Option(help="How many attackers; few of them make most of the sessions.")] = 1_000,
    devices: Annotated[int, typer.Option(help="Devices that come and go daily (format sojourn).")] = 100,
    losses: _Share = 0.0,
    bad: _Share = 0.0,
    duplicates: _Share = 0.0,
    disorder: _Share = 0.0,
    delay: Annotated[float, typer.Option(help="Seconds of event time by which --disorder is late at most.")] = 30.0,
) -> None:
    """Write a load like that of sensors in the field: attackers, sessions, commands, devices, and what goes wrong.

    Of all records --losses are never written, --bad cannot be decoded, --duplicates are written twice and --disorder
    later than their time; none is two of these. A second run into the same Kafka wants another --seed: its sessions
    would be the same ones. Exit code 1 when stopped before the end, 2 when it cannot be written.
    """
    import time

    from deploy.generate import GenerateError, run_generate
    from producers.load.mix import checked
    from schemas.times import parse_time

    _silence_libraries()
    settings = _settings({"kafka.bootstrap": kafka})
    try:
        began = time.time_ns() // 1000 if start == "now" else parse_time(start)
    except ValueError:
        _fail(f"--start {start}: a time like 2026-11-22T01:04:19Z, or now, was expected", 2)
    try:
        mix = checked(
            seed=seed,
            format=format_name,
            records=records,
            start=began,
            density=density if density is not None else rate or 1_000.0,
            prefix=prefix,
            sensors=sensors,
            attackers=attackers,
            devices=devices,
            losses=losses,
            bad=bad,
            duplicates=duplicates,
            disorder=disorder,
            delay=delay,
        )
        raise typer.Exit(run_generate(settings.kafka, mix, output, rate))
    except (ValueError, GenerateError) as error:
        _fail(str(error), 2)


@schema_app.command("apply")
def schema_apply() -> None:
    """Create topics and tables where they are missing; can be run again."""
    import asyncio

    from aiokafka.errors import KafkaError

    from deploy.schema import SchemaError, apply_tables
    from deploy.servers import kafka_sentence
    from producers.kafka.epochs import TopicsError, apply_topics

    _silence_libraries()
    settings = _settings()
    try:
        topics = asyncio.run(apply_topics(settings.kafka))
        tables = apply_tables(settings)
    except (KafkaError, TopicsError) as error:
        _fail(kafka_sentence(error, settings.kafka), 1)
    except SchemaError as error:
        _fail(str(error), 1)
    else:
        typer.echo(f"topics created: {', '.join(topics.created) or 'none, all are there'}")
        typer.echo(f"migrations applied: {', '.join(m.name for m in tables) or 'none, all were applied before'}")


@app.command()
def settings(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Print every setting: name, value, origin, help."""
    from deploy.configuration import configure
    from deploy.settings_print import settings_as_json, settings_as_table
    from schemas.settings import SettingsError

    try:
        _, listed = configure()
    except SettingsError as error:
        _fail(str(error), 2)
        raise
    if as_json:
        typer.echo(settings_as_json(listed))
    else:
        settings_as_table(listed)


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
    settings = _settings()
    from deploy.replay import ReplayError, run_redecode, run_replay

    _silence_libraries()
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
        _fail(str(error), 1)
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
    settings = _settings()
    from deploy.reconcile import ReconcileError, run_reconcile
    from schemas.times import parse_time

    _silence_libraries()
    bounds = []
    for name, text in (("--from", start), ("--to", to)):
        try:
            bounds.append(parse_time(text))
        except ValueError:
            _fail(f"{name} {text}: a time like 2026-11-22T01:04:19Z was expected", 2)
    try:
        found = run_reconcile(settings, bounds[0], bounds[1], apply, settled, typer.echo)
    except ReconcileError as error:
        _fail(str(error), 1)
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
    settings = _settings()
    from deploy.dead_letters import DeadLettersError, list_letters
    from stream_processors.dead_letters.reading import Wanted

    _silence_libraries()
    try:
        list_letters(settings, Wanted(reason, stage, start), limit, as_json)
    except DeadLettersError as error:
        _fail(str(error), 1)


@letters_app.command("show")
def letters_show(
    key: Annotated[str, typer.Argument(help="As the list has it, or with the epoch before it.")],
    as_json: Annotated[bool, typer.Option("--json", help="The letter as it is on the topic.")] = False,
) -> None:
    """Print one letter whole: reason, place, headers, and the original bytes as text or hex."""
    settings = _settings()
    from deploy.dead_letters import DeadLettersError, show_letter

    _silence_libraries()
    try:
        show_letter(settings, key, as_json)
    except DeadLettersError as error:
        _fail(str(error), 1)


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
    settings = _settings()
    from deploy.dead_letters import DeadLettersError, replay_letters
    from stream_processors.dead_letters.reading import Wanted
    from stream_processors.dead_letters.replaying import OnError

    _silence_libraries()
    if on_error not in [policy.value for policy in OnError]:
        _fail(f"--on-error {on_error}: stop, put-back or drop was expected", 2)
    wanted = Wanted(reason, stage, start)
    try:
        tally = replay_letters(
            settings, wanted, OnError(on_error), limit, dry_run, lambda line: typer.echo(line, err=True)
        )
    except DeadLettersError as error:
        _fail(str(error), 1)
        raise
    done = f"{tally.replayed} replayed, {tally.dropped} dropped, {tally.put_back} put back"
    typer.echo(f"would be: {done}" if dry_run else done)
    raise typer.Exit(1 if tally.stopped else 0)


@docs_app.command("schema")
def docs_schema(
    folder: Annotated[str, typer.Option(help="Where the files go.")] = "docs/schemas",
) -> None:
    """Write the JSON Schema of the records."""
    from pathlib import Path

    from deploy.json_schemas import write_schemas

    for path in write_schemas(Path(folder)):
        typer.echo(path)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    typer.echo(f"sojourn {version_of('sojourn')}")
