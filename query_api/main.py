"""The query API as a process: ``run_server`` blocks until SIGTERM or SIGINT and gives the exit code."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from producers.cancelling import cancel
from query_api import middlewares, tls
from query_api.auth.access import Access
from query_api.auth.credentials import CredentialsError
from query_api.auth.doors import ACCESS
from query_api.auth.file import credentials_path
from query_api.health import Health
from query_api.ingest import INGEST
from query_api.keys import CONNECTION, GATE, HEALTH, OWN_TABLES, SETTINGS
from query_api.limits import Gate
from query_api.listen import Listen, check_exposure, is_loopback, listen_address
from query_api.listener import Listener, allow_files
from query_api.live.tail import TAIL, Tail
from query_api.reader import Connection
from query_api.routes import setup_routes
from query_api.writes import WRITES, Writes
from schemas.settings import Settings, SettingsError

log = structlog.get_logger()


def make_app(settings: Settings, *, follow_health: bool = True) -> web.Application:
    """The application; ``follow_health`` off leaves Kafka alone. Raises SettingsError."""
    app = web.Application(middlewares=middlewares.ALL, client_max_size=settings.http.body_bytes)
    app[SETTINGS] = settings
    app[ACCESS] = _access(settings)
    app[CONNECTION] = Connection(settings)
    app[OWN_TABLES] = Connection(settings, writes=True)
    app[GATE] = Gate(settings.http.concurrency, settings.http.concurrency_of_one)
    app[HEALTH] = Health()
    app[WRITES] = Writes(settings.kafka, app[HEALTH], settings.http.write_seconds)
    app[INGEST] = Writes(settings.kafka, app[HEALTH], settings.http.write_seconds)
    app[TAIL] = Tail(settings.kafka, settings.http.live_clients, settings.http.live_clients_of_one)
    app.on_shutdown.append(_let_go)
    setup_routes(app)
    app.on_response_prepare.append(middlewares.server_header)
    app.on_response_prepare.append(middlewares.cross_origin_headers)
    app.cleanup_ctx.append(_connection)
    if follow_health:
        app.cleanup_ctx.append(_heartbeats)
    return app


def _access(settings: Settings) -> Access:
    http = settings.http
    loopback = is_loopback(listen_address(http.listen).host)
    try:
        return Access(credentials_path(settings), loopback=loopback, idle=http.login_idle)
    except CredentialsError as error:
        raise SettingsError(str(error)) from None


async def _let_go(app: web.Application) -> None:
    await app[TAIL].end()


async def _connection(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[TAIL].close()
    await app[WRITES].close()
    await app[INGEST].close()
    await app[CONNECTION].close()
    await app[OWN_TABLES].close()


async def _heartbeats(app: web.Application) -> AsyncIterator[None]:
    # Imported here: the API listens before the Kafka client is loaded.
    from query_api.heartbeats import follow

    task = asyncio.create_task(follow(app[SETTINGS].kafka, app[HEALTH]))
    yield
    await cancel(task)


def run_server(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a drain, 1 with a sentence on stderr when it cannot listen."""
    try:
        listen = listen_address(settings.http.listen)
        return asyncio.run(_serve(settings, listen))
    except SettingsError as error:
        print(f"sojourn serve: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
    except OSError as error:
        reason = error.strerror or str(error)
        print(f"sojourn serve: cannot listen on {settings.http.listen}: {reason}", file=sys.stderr)  # noqa: T201
    return 1


def _announce(settings: Settings, listen: Listen) -> None:
    http = settings.http
    if http.tls_self_signed:
        log.info("query API listens", url=f"https://{listen}", certificate_sha256=tls.fingerprint(settings))
        return
    log.info("query API listens", url=f"{'https' if tls.is_on(http) else 'http'}://{listen}")
    if not tls.is_on(http) and not is_loopback(listen.host):
        log.warning("credentials and answers cross the network as plain text: give --tls-cert, or put a proxy in front")


async def _serve(settings: Settings, listen: Listen) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    app = make_app(settings)
    check_exposure(listen, credentials=bool(app[ACCESS].credentials.current.entries))
    context = tls.server_context(settings)
    allow_files(settings.http.connections)
    listener = Listener(app, settings.http.connections)
    try:
        await listener.start(listen.host, listen.port, context)
        _announce(settings, listen)
        following = asyncio.create_task(tls.follow_certificate(context, settings.http)) if context else None
        await ended.wait()
        if following is not None:
            following.cancel()
        log.info("query API drains")
    finally:
        await listener.stop()
    return 0
