"""A real ``sojourn up`` as a process, for tests."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import clickhouse_connect
import msgspec

from producers.kafka.publisher import Publisher
from schemas.records import Connection, session_key
from schemas.settings import Kafka
from tests.stack import free_port, run_aside

#: Long enough for a loaded machine; a wait that ends here is a failure with the output so far.
PATIENCE = 60.0


class Ports:
    """Free ports that several starts of one stack share."""

    def __init__(self) -> None:
        self.http, self.kafka, self.clickhouse, self.native = (free_port() for _ in range(4))

    def options(self) -> list[str]:
        """All four, for embedded servers."""
        return [
            f"--http=127.0.0.1:{self.http}",
            f"--kafka=127.0.0.1:{self.kafka}",
            f"--clickhouse=127.0.0.1:{self.clickhouse}",
            f"--clickhouse-native=127.0.0.1:{self.native}",
        ]


class Up:
    """Held as a context; what still runs at the end is killed, the children with it."""

    def __init__(self, ports: Ports, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.ports = ports
        self.lines: list[str] = []
        self._arrived: queue.Queue[str] = queue.Queue()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy", "up", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**inherited, **(environment or {})},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._arrived.put(self.lines[-1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        children = self.children()
        self.process.kill()
        self.process.wait(PATIENCE)
        wait_until_gone(list(children.values()))
        self._reader.join(PATIENCE)

    def wait_line(self, pattern: str, seconds: float = PATIENCE) -> str:
        """The next line (after those waited for before) that has ``pattern``."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._arrived.get(timeout=0.1)
            except queue.Empty:
                ended = self.process.poll() is not None and not self._reader.is_alive() and self._arrived.empty()
                if ended or time.monotonic() > deadline:
                    so_far = "\n".join(self.lines)
                    raise AssertionError(
                        f"no line with {pattern!r} within {seconds} s (ended: {ended}); so far:\n{so_far}"
                    ) from None
                continue
            if re.search(pattern, line):
                return line

    def wait_ready(self) -> None:
        self.wait_line(r"^ready: ")

    def wait_health(self) -> None:
        """Until /health/ready answers 200."""
        wait_for("/health/ready to be 200", lambda: self.get("/health/ready")[0] == 200, self.lines)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.http}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def children(self) -> dict[str, int]:
        """Component → pid, by the command lines of this process's children."""
        words = {
            "tansu": "broker",
            "clickhouse_server": "clickhouse",
            "process": "worker",
            "sink": "sink",
            "serve": "api",
        }
        found: dict[str, int] = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                parent = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
                command = (folder / "cmdline").read_bytes().decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == self.process.pid:
                for word, name in words.items():
                    if re.search(rf"(^|[/.\0]){word}(\0|$)", command):
                        found[name] = int(folder.name)
        return found

    def stop(self) -> int:
        """SIGTERM; the exit code. The issue promises 15 seconds; a loaded machine gets some more."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def publish(self, *records: Connection) -> None:
        """Connection records as a sensor publishes them; returns when they are acknowledged."""
        run_aside(_publish(Kafka(bootstrap=f"127.0.0.1:{self.ports.kafka}"), records))

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """A query as the analyst."""
        with clickhouse_connect.get_client(
            host="127.0.0.1", port=self.ports.clickhouse, username="analyst", database="sojourn"
        ) as client:
            return [tuple(row) for row in client.query(sql, parameters=parameters).result_rows]

    def wait_rows(self, expected: list[tuple[Any, ...]], sql: str, **parameters: Any) -> None:
        """Until the query gives these rows."""
        seen: list[Any] = []

        def same() -> bool:
            seen[:] = self.rows(sql, **parameters)
            return seen == expected

        wait_for(f"{expected} from {sql}", same, seen)


async def _publish(kafka: Kafka, records: tuple[Connection, ...]) -> None:
    async with Publisher(kafka) as publisher:
        for record in records:
            body = msgspec.to_builtins(record)
            # A sensor writes seconds.
            body["time"] = record.time / 1_000_000
            await (await publisher.send("sensor.connections", session_key(record), msgspec.json.encode(body)))


def wait_for(what: str, true: Any, seen: Any, seconds: float = PATIENCE) -> None:
    """Asks again until it is true; else an error that shows what was seen last."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}; last seen: {seen}"
        time.sleep(0.1)


def running(pids: list[int]) -> list[int]:
    """Those that are still there and no zombies."""
    alive = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            alive.append(pid)
    return alive


def wait_until_gone(pids: list[int]) -> None:
    wait_for("every child to end", lambda: not running(pids), pids, 15)
