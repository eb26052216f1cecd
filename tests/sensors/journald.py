"""A journal of systemd's own daemon, apart from the machine's: a namespace of its own, which ends with the test."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sensors.programs import running
from tests.up_process import wait_for

_DAEMONS = (Path("/usr/lib/systemd/systemd-journald"), Path("/lib/systemd/systemd-journald"))

#: A process that logs what it is told, one message per line, as a program does by the journal's own protocol.
_LOGGER = """
import socket, sys
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for line in sys.stdin:
    door.sendto(b"SYSLOG_IDENTIFIER=sshd\\nMESSAGE=" + line.strip().encode() + b"\\n", sys.argv[1])
    print("said", flush=True)
"""


class Journal:
    """``door`` takes entries; ``bin`` has a journalctl that reads this journal and no other."""

    def __init__(self, door: Path, bin: Path) -> None:
        self.door, self.bin = door, bin

    @contextmanager
    def program(self) -> Iterator["Program"]:
        """A process of its own, by whose number journald knows what it says."""
        command = [sys.executable, "-c", _LOGGER, str(self.door)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield Program(process)
            assert process.stdin is not None
            process.stdin.close()


class Program:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def say(self, message: str) -> None:
        """Returns when journald has it before it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(message + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "said\n"


@contextmanager
def journald(folder: Path) -> Iterator[Journal]:
    """Runs until the context ends. Skips, saying why, where it cannot run."""
    daemon = next((each for each in _DAEMONS if each.exists()), None)
    journalctl = shutil.which("journalctl")
    if daemon is None or journalctl is None:
        pytest.skip("there is no journald here: systemd is not installed")
    if os.getuid() != 0:
        pytest.skip("only root may run a journald")
    name = f"sojourn{uuid.uuid4().hex[:8]}"
    runtime = Path(f"/run/systemd/journal.{name}")
    reader = folder / "bin" / "journalctl"
    reader.parent.mkdir()
    reader.write_text(f'#!/bin/sh\nexec {journalctl} --namespace={name} "$@"\n')
    reader.chmod(0o755)
    try:
        with running([str(daemon), name], folder / "journald") as process:
            wait_for("journald to listen", (runtime / "socket").exists, (folder / "journald").read_bytes)
            # One of a namespace ends when nobody uses it for half a minute; a program's output is such a use.
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as output:
                output.connect(str(runtime / "stdout"))
                output.sendall(b"sojourn\n\n6\n0\n0\n0\n0\n")
                yield Journal(runtime / "socket", reader.parent)
            process.send_signal(signal.SIGTERM)
    finally:
        for place in (
            runtime,
            *Path("/var/log/journal").glob(f"*.{name}"),
            *Path("/run/log/journal").glob(f"*.{name}"),
        ):
            shutil.rmtree(place, ignore_errors=True)
