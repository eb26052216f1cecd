"""The commands that publish: ``sojourn produce`` and ``sojourn generate``."""

from typing import Annotated

import typer

from deploy.commands.common import fail, read_settings, silence_libraries

app = typer.Typer()


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
        fail("--dry-run does not follow", 2)
    if not follow and (positions or from_start):
        fail(f"{'--positions' if positions else '--from-start'} is for --follow", 2)
    settings = read_settings({"kafka.bootstrap": kafka})
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
        fail(str(error), 2)


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

    silence_libraries()
    settings = read_settings({"kafka.bootstrap": kafka})
    try:
        began = time.time_ns() // 1000 if start == "now" else parse_time(start)
    except ValueError:
        fail(f"--start {start}: a time like 2026-11-22T01:04:19Z, or now, was expected", 2)
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
        fail(str(error), 2)
