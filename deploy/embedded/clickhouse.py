"""The embedded ClickHouse as its supervisor sees it: files, start, readiness, and what an early end means."""

import http.client
import os
import sys
from pathlib import Path

import msgspec

from deploy.addresses import Address
from deploy.child import Child
from deploy.embedded.clickhouse_config import Limits, ServerConfig, config_xml, users_xml
from deploy.embedded.passwords import PASSWORDS, Passwords, keep_passwords, write_private
from schemas.settings import Settings

#: What Python, the dynamic linker and the time zone need of our environment.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH")


class EmbeddedClickHouse(msgspec.Struct, frozen=True, kw_only=True):
    """Where it listens, and with which passwords; ``child`` is its process, not started yet."""

    http: Address
    native_port: int
    folder: Path
    passwords: Passwords
    child: Child

    @property
    def url(self) -> str:
        return f"http://{self.http}"


def prepare_clickhouse(
    data: Path, http: Address, native_port: int, settings: Settings, logs: Path
) -> EmbeddedClickHouse:
    """Writes the configuration into ``data``/clickhouse; passwords made at an earlier start (in ``data``) are kept.

    Raises OSError when the folder cannot be written, msgspec.DecodeError when the kept passwords cannot be read.
    """
    folder = data / "clickhouse"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    passwords = keep_passwords(data / PASSWORDS)
    limits = Limits(settings.http.query_seconds, settings.http.query_memory, settings.http.query_rows)
    config = ServerConfig(
        http=http,
        native_port=native_port,
        database=settings.clickhouse.database,
        log=str(folder.resolve() / "server.log"),
        api_limits=limits,
        passwords=passwords,
    )
    write_private(folder / "config.xml", config_xml(config))
    write_private(folder / "users.xml", users_xml(config))
    child = Child(
        "clickhouse",
        [sys.executable, "-P", "-m", "deploy.embedded.clickhouse_server", str(folder.resolve())],
        logs / "clickhouse.log",
        # Whoever may SELECT can read this process's environment: it has none of ours.
        environment={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )
    return EmbeddedClickHouse(http=http, native_port=native_port, folder=folder, passwords=passwords, child=child)


def clickhouse_answers(server: EmbeddedClickHouse) -> bool:
    """Whether /ping and a query by the API's user are answered."""
    connection = http.client.HTTPConnection(server.http.host, server.http.port, timeout=2)
    try:
        connection.request("GET", "/ping")
        if connection.getresponse().read() != b"Ok.\n":
            return False
        headers = {"X-ClickHouse-User": "api", "X-ClickHouse-Key": server.passwords.api}
        connection.request("POST", "/", body="SELECT 1", headers=headers)
        return connection.getresponse().read() == b"1\n"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def explain_clickhouse(server: EmbeddedClickHouse) -> str:
    """Why it ended while starting, as one sentence, out of what it wrote."""
    output = server.child.output()
    log = server.child.log
    if "CANNOT_OPEN_FILE" in output or "Cannot lock file" in output:
        return f"the data folder {server.folder} is in use by another ClickHouse; end it, or choose another with --data"
    if "NETWORK_ERROR" in output or "Address already in use" in output:
        return (
            f"{server.http} or the native port {server.native_port} is taken: ClickHouse cannot listen there; "
            "choose with --clickhouse and --clickhouse-native"
        )
    if "No space left on device" in output or "NOT_ENOUGH_SPACE" in output:
        return (
            f"the disk of {server.folder} is full: ClickHouse cannot start; free some space, or choose another --data"
        )
    return f"ClickHouse ended while starting: {server.child.last_line() or 'without a word'} (whole log: {log})"
