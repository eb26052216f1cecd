"""The commands that go on until they are stopped: ``sojourn up`` and the parts of the pipeline alone."""

from typing import Annotated

import typer

from deploy.commands.common import begin_service, fail, read_settings, silence_libraries

app = typer.Typer()

_Held = Annotated[bool, typer.Option("--held", hidden=True, help="Load, then wait for a line on standard input.")]


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
    from deploy.stacks import write_stacks_when_asked
    from deploy.up import run_up
    from schemas.settings import SettingsError

    silence_libraries()
    write_stacks_when_asked()
    if ephemeral and data is not None:
        fail("--ephemeral keeps nothing, --data says where to keep it: only one of them was expected", 2)
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
        fail(str(error), 2)
    except CannotStartError as error:
        fail(str(error), 1)


@app.command()
def process(held: _Held = False) -> None:
    """Run the worker alone: Faust agents that make sessions."""
    settings = read_settings()
    from stream_processors.app import run_worker

    begin_service(held)
    raise typer.Exit(run_worker(settings))


@app.command()
def sink(held: _Held = False) -> None:
    """Run the sink alone: Kafka into ClickHouse, exactly once."""
    settings = read_settings()
    from stream_processors.sink import run_sink

    begin_service(held)
    raise typer.Exit(run_sink(settings))


@app.command()
def backup(held: _Held = False) -> None:
    """Run the exports of marked sessions to the targets of backup.targets alone."""
    settings = read_settings()
    from stream_processors.backup import run_backup

    begin_service(held)
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
    settings = read_settings(
        {
            "http.listen": http,
            "http.tls_cert": tls_cert,
            "http.tls_key": tls_key,
            "http.tls_self_signed": tls_self_signed or None,
            "http.auth_file": auth_file,
        }
    )
    from query_api.main import run_server

    begin_service(held)
    raise typer.Exit(run_server(settings))
