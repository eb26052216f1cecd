"""What the processes write about an error."""

import subprocess
import sys

_CODE = """
import structlog
from deploy.logs import configure_logs
configure_logs()
def fail():
    password = "a secret of ours"
    raise ValueError("the words of the error" + chr(27) + "[2J")
try:
    fail()
except ValueError:
    path = "/a" + chr(27) + "[31m" + chr(0) + chr(10) + "b"
    structlog.get_logger().exception("request failed", path=path)
"""


def _written() -> str:
    found = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    return found.stdout + found.stderr


def test_a_log_that_is_no_terminal_has_no_colours_and_nothing_that_a_terminal_would_obey() -> None:
    written = _written()
    assert "\x1b" not in written and "\0" not in written
    assert r"/a\x1b[31m\x00\nb" in written and r"the words of the error\x1b[2J" in written


def test_a_traceback_shows_no_variables() -> None:
    written = _written()
    assert "the words of the error" in written and "Traceback" in written
    # The line of code is shown, the value of a local variable a second time is not.
    assert written.count("a secret of ours") == 0
