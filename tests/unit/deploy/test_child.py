import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from deploy.child import LOG_BYTES, Child, ending


def test_a_child_writes_into_its_log_and_tells_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    for word in ("first", "second"):
        child = Child("x", ["/bin/sh", "-c", f"echo {word}; echo; exit 3"], log)
        child.start()
        assert child.wait(10) == 3
        assert child.output() == f"{word}\n\n"
        assert child.last_line() == word
    assert log.read_text() == "first\n\nsecond\n\n"


def test_a_large_log_is_moved_aside_at_the_start(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with log.open("wb") as file:
        file.truncate(LOG_BYTES + 1)
    child = Child("x", ["/bin/echo", "new"], log)
    child.start()
    child.wait(10)
    assert log.read_text() == "new\n"
    assert (tmp_path / "x.log.1").stat().st_size == LOG_BYTES + 1


def test_a_child_is_in_a_session_of_its_own(tmp_path: Path) -> None:
    child = Child("x", ["/bin/sleep", "60"], tmp_path / "x.log")
    child.start()
    try:
        assert child.pid is not None
        assert os.getsid(child.pid) == child.pid
    finally:
        child.kill()
        assert child.wait(10) == -signal.SIGKILL


def test_a_child_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from deploy.child import Child\n"
        f"child = Child('x', ['/bin/sleep', '60'], Path({str(tmp_path / 'x.log')!r})); child.start()\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        _await_name(pid, "sleep")
        supervisor.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
        assert time.monotonic() < deadline, f"process {pid} still runs 10 s after its supervisor was killed"
        time.sleep(0.01)


def test_the_tether_gives_up_when_the_supervisor_died_first() -> None:
    tether = Path(__file__).parents[3] / "deploy" / "tether.py"
    # Process 1 is not the parent: as if the supervisor had died before the tether asked.
    ended = subprocess.run([sys.executable, "-I", "-S", str(tether), "1", "/bin/echo", "ran"], capture_output=True)
    assert ended.returncode == 1
    assert ended.stdout == b""


def test_endings_are_words() -> None:
    assert [ending(0), ending(3), ending(-9)] == ["exit code 0", "exit code 3", "SIGKILL"]


def _await_name(pid: int, name: str) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/comm").read_text().strip() != name:
        assert time.monotonic() < deadline, f"process {pid} did not become {name} within 10 s"
        time.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return "Z"
