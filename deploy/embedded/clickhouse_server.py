"""The process of the embedded ClickHouse: ``python -m deploy.embedded.clickhouse_server FOLDER``.

FOLDER holds config.xml and users.xml (``deploy.embedded.clickhouse`` writes them), the folder above it
passwords.json; tables are kept in FOLDER/store. All other files are out of reach (``deploy.embedded.confinement``).
Ends at SIGTERM within two seconds. How and why it starts like this: docs/decisions/0005.
"""

import ctypes
import http.client
import importlib.machinery
import os
import signal
import sys
import threading
import types
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from deploy.embedded.confinement import confine
from deploy.embedded.passwords import PASSWORDS, read_passwords

#: The listeners live as long as this statement; it needs no grant but SYSTEM LISTEN.
_HOLD = "SELECT sleepEachRow(3) FROM numbers(1000000000) SETTINGS max_block_size = 1 FORMAT Null"
_RELEASE = (
    f"KILL QUERY WHERE user NOT IN ('admin', 'writer', 'api', 'analyst') AND startsWith(query, '{_HOLD[:40]}') SYNC"
)
#: Seconds for the end of that statement; it sleeps in steps of one second.
_RELEASE_SECONDS = 5.0
#: Seconds for the rest. The engine waits for idle connections too, as long as their clients keep them, so it is not
#: waited for: what was acknowledged is stored (embedded-clickhouse: kill -9 under 4 writers lost nothing).
_CLOSE_SECONDS = 0.7


def load_extension() -> Any:
    """The extension module alone.

    Importing the package ``chdb`` opens and closes an engine, which breaks things in that process, and needs pandas.
    """
    spec = importlib.machinery.PathFinder.find_spec("chdb")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("chdb-core is not installed")
    folder = list(spec.submodule_search_locations)
    package = types.ModuleType("chdb")
    package.__path__ = folder
    sys.modules["chdb"] = package
    # Its own symbols first: it brings a C++ runtime and allocator that must not mix with the interpreter's.
    deep = getattr(os, "RTLD_DEEPBIND", 0)
    ctypes.CDLL(str(Path(folder[0]) / "_chdb.abi3.so"), deep | os.RTLD_NOW | os.RTLD_GLOBAL)
    import chdb._chdb

    return chdb._chdb


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    os.chdir(folder)
    # Blocked before any thread starts, so that only the main thread takes them, in sigwait below.
    watched = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    administrator = Administrator.of(folder)
    if not confine([folder]):
        print("not confined: the kernel has no Landlock, so who may SELECT can read files of this account", flush=True)  # noqa: T201
    extension = load_extension()

    def serve() -> None:
        try:
            extension.query(f"SYSTEM START LISTEN QUERIES ALL; {_HOLD}", "TabSeparated", path="store")
        except Exception as error:  # noqa: BLE001 - whatever it is, the process ends below and says it
            # The end asked for by SIGTERM arrives as an error too: the statement was killed.
            if not stopping.is_set():
                print(error, file=sys.stderr, flush=True)  # noqa: T201 - the log of this process
        finally:
            # Never through the interpreter's own exit: the engine's threads would crash in it.
            os._exit(0 if stopping.is_set() else 1)

    stopping = threading.Event()
    threading.Thread(target=serve, daemon=True).start()
    signal.sigwait(watched)
    stopping.set()
    _release(administrator)
    threading.Event().wait(_CLOSE_SECONDS)
    os._exit(0)


class Administrator(NamedTuple):
    """How to reach the server as administrator; read before these files are given up."""

    host: str
    port: int
    password: str

    @classmethod
    def of(cls, folder: Path) -> "Administrator":
        root = ElementTree.parse(folder / "config.xml").getroot()
        password = read_passwords(folder.parent / PASSWORDS).admin
        return cls(root.findtext("listen_host", ""), int(root.findtext("http_port", "0")), password)


def _release(administrator: Administrator) -> None:
    """Ends the statement that holds the listeners, as administrator over HTTP."""
    host, port, password = administrator
    headers = {"X-ClickHouse-User": "admin", "X-ClickHouse-Key": password}
    connection = http.client.HTTPConnection(host, port, timeout=_RELEASE_SECONDS)
    try:
        connection.request("POST", "/", body=_RELEASE, headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            print(f"could not end cleanly: {answer.read(500)!r}", file=sys.stderr)  # noqa: T201
    except (OSError, http.client.HTTPException) as error:
        # The server ends while it answers; whoever waits for this process sees the end anyway.
        print(f"while ending: {error}", file=sys.stderr)  # noqa: T201
    finally:
        connection.close()


if __name__ == "__main__":
    main()
