"""The product's processes as an operator starts them: ``python -m deploy COMMAND`` and settings in the environment."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from schemas.settings import Settings, variable_of

_ROOT = Path(__file__).parent.parent


def environment_of(settings: Settings) -> dict[str, str]:
    """Every setting as its variable; nothing else that begins like ours."""

    def walk(values: Any, prefix: str) -> Iterator[tuple[str, str]]:
        for name in values.__struct_fields__:
            value = getattr(values, name)
            if isinstance(value, msgspec.Struct):
                yield from walk(value, f"{prefix}{name}.")
            else:
                yield (
                    variable_of(prefix + name),
                    value if isinstance(value, str) else msgspec.json.encode(value).decode(),
                )

    others = {name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")}
    return {**others, "PYTHONPATH": str(_ROOT), **dict(walk(settings, ""))}


class Running:
    """One process, its output in a file."""

    def __init__(self, command: str, settings: Settings, log: Path) -> None:
        self.command = command
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deploy", command],
                cwd=log.parent,
                env=environment_of(settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: nothing is drained or committed."""
        self._process.kill()
        self._process.wait(10)

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM, and its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"{self.command} had not ended after {seconds} s:\n{self.last_words()}") from None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def last_words(self) -> str:
        """The end of the log, to be shown beside a complaint."""
        state = "running" if self.running else self._process.returncode
        return f"--- {self.command} {self.pid}, {state}\n{self.log()[-4000:]}"


class Processes:
    """Processes of one test; all of them end with it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self.started: list[Running] = []

    def start(self, command: str) -> Running:
        process = Running(command, self._settings, self._folder / f"{len(self.started)}-{command}.log")
        self.started.append(process)
        return process

    def alive(self, command: str | None = None) -> list[Running]:
        """Those that run now, of one command or all."""
        return [each for each in self.started if each.running and command in (None, each.command)]

    def logs(self) -> str:
        return "\n".join(process.last_words() for process in self.started)


@contextmanager
def processes_of(settings: Settings) -> Iterator[Processes]:
    with tempfile.TemporaryDirectory(prefix="sojourn-processes-") as folder:
        processes = Processes(settings, Path(folder))
        try:
            yield processes
        finally:
            for process in processes.started:
                if process.running:
                    process.kill()
