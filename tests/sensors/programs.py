"""What running a sensor on loopback needs: a folder and an interpreter for an account without rights, and its end."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.up_process import PATIENCE

#: Who runs it when the tests are run by root.
NOBODY = "nobody"


def as_nobody() -> dict[str, Any]:
    """Arguments of Popen for an account without rights; empty for who has none already."""
    if os.getuid() != 0:
        return {}
    account = pwd.getpwnam(NOBODY)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def python_for_nobody() -> str:
    """An interpreter that makes venvs and that the account may run: root's own may stand in root's home."""
    candidates = [
        os.path.realpath(sys.executable),
        *filter(None, [shutil.which("python3", path="/usr/local/bin:/usr/bin")]),
    ]
    for python in candidates:
        try:
            found = subprocess.run(
                [python, "-c", "import venv, ensurepip"], cwd="/", check=False, capture_output=True, **as_nobody()
            )
        except PermissionError:
            continue
        if found.returncode == 0:
            return python
    pytest.skip(f"no Python that {NOBODY} may run and that makes venvs among {', '.join(candidates)}")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every account may enter; pytest's are for their owner alone."""
    with tempfile.TemporaryDirectory(prefix="sojourn-sensor-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def running(command: list[str], output: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program with its output in a file; it is asked to end with SIGINT, then killed."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
