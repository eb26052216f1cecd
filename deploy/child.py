"""One child process of the supervisor: its command, its log file, its end."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_TETHER = Path(__file__).with_name("tether.py")

#: A log above this size is moved to ``NAME.log.1`` when its process starts.
LOG_BYTES = 10_000_000


class Child:
    """A process in a session of its own, so that Ctrl-C in the terminal reaches the supervisor only.

    It is tethered: the kernel kills it when the thread that called ``start`` ends. So call ``start`` from the main
    thread. Waiting is by ``poll``: five children, some times a second, cost nothing and need no thread each.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        held: bool = False,
    ) -> None:
        """``held``: it waits for a line on its standard input before it begins (``release``)."""
        self.name = name
        self.command = list(command)
        self.log = log
        self._environment = environment
        self._held = held
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(self) -> None:
        """Starts the process; its output goes to the log file. Raises OSError when that cannot be done."""
        if self._process is not None and self._process.poll() is None:
            raise RuntimeError(f"{self.name} runs already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *self.command],
                stdin=subprocess.PIPE if self._held else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self._environment) if self._environment is not None else None,
                start_new_session=True,
            )

    def release(self) -> None:
        """Lets a held process begin; one that has ended already is left to whoever watches it."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError(f"{self.name} is not held")
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(b"\n")

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal, as ``subprocess`` has it. Raises when it was never started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def terminate(self) -> None:
        if self.running and self._process:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the process and to what it started (its session is its own)."""
        if self._process is not None and self._process.poll() is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                # Between fork and setsid, or it just ended.
                self._process.kill()

    def wait(self, seconds: float) -> int:
        """The exit code; raises subprocess.TimeoutExpired after ``seconds``. For callers without an event loop."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.wait(seconds)

    def output(self, limit: int = 65_536) -> str:
        """What this process wrote since its start, at most the last ``limit`` bytes."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, size - limit))
            return file.read().decode(errors="replace")

    def last_line(self) -> str:
        """The last line of its output that is not empty: most often the reason of its end."""
        lines = [line.strip() for line in self.output(8192).splitlines() if line.strip()]
        return lines[-1] if lines else ""


def ending(code: int) -> str:
    """An exit code in words: ``exit code 1``, ``SIGKILL``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
