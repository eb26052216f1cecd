"""The recording, played by ``sojourn up --demo``: what the log says is what every reader sees."""

import json
import shlex
import shutil
import subprocess
from collections import defaultdict

import pytest

from deploy.demo import recording
from tests.up_process import Up

pytestmark = pytest.mark.integration

#: Events per session in file order.
EVENTS = [5, 16, 9, 6, 3, 8, 10, 10]


def _log() -> list[dict[str, object]]:
    """Sessions of the log in file order: its own duration, client, protocol, and the user that counts."""
    found: dict[str, dict[str, object]] = defaultdict(lambda: {"events": 0, "user": "", "seconds": None})
    for line in recording():
        record = json.loads(line)
        session = found[record["session"]]
        session["events"] = int(str(session["events"])) + 1
        if record["eventid"] == "cowrie.session.connect":
            session["client"] = f"{record['src_ip']}:{record['src_port']}"
            session["protocol"] = record["protocol"]
        if record["eventid"] == "cowrie.session.closed":
            session["seconds"] = record["duration_ms"] / 1000
        if record["eventid"] == "cowrie.login.success" or (
            record["eventid"] == "cowrie.login.failed" and "ok" not in session
        ):
            session["user"] = record["username"]
            if record["eventid"] == "cowrie.login.success":
                session["ok"] = True
    return list(found.values())


def test_all_events_are_stored_once(demo: Up) -> None:
    counts = "SELECT count(), uniqExact(_topic, _partition, _offset, _index) FROM events WHERE sensor = 'lab-cowrie'"
    assert demo.rows(counts) == [(67, 67)]


def test_the_sessions_are_those_of_the_log_in_sql(demo: Up) -> None:
    rows = demo.rows(
        "SELECT duration, concat(client_ip, ':', toString(client_port)), protocol, user, event_count, state "
        "FROM sessions_current WHERE sensor = 'lab-cowrie' ORDER BY started_at"
    )
    log = _log()
    assert [row[4] for row in rows] == EVENTS == [session["events"] for session in log]
    for row, session in zip(rows, log, strict=True):
        assert row[1:4] == (session["client"], session["protocol"], session["user"])
        assert row[5] == "closed"
        assert row[0] == pytest.approx(session["seconds"], abs=0.005)


def test_the_sessions_are_those_of_the_log_over_http(demo: Up) -> None:
    status, body = demo.get("/sessions?sensors=^lab-cowrie$&page=1&response_per_page=100")
    assert status == 200
    answer = json.loads(body)
    assert answer["matched"] == len(answer["events"]) == 8
    for shown, session in zip(reversed(answer["events"]), _log(), strict=True):
        details = shown["details"]
        assert shown["hostAddr"] == session["client"]
        assert (details["protocol"], details["user"], details["event_count"]) == (
            session["protocol"],
            session["user"],
            session["events"],
        )
        assert details["duration"] == pytest.approx(session["seconds"], abs=0.005)


def test_the_three_lines_shown_work(demo: Up) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the lines shown need curl, which is not on this machine")
    lines = [line.strip() for line in demo.lines if line.strip().startswith("curl ")]
    assert len(lines) == 3
    for line in lines:
        done = subprocess.run(
            [*shlex.split(line), "--silent", "--fail", "--max-time", "30"], capture_output=True, timeout=60
        )
        assert done.returncode == 0, line
        assert b"root" in done.stdout or b"lab-cowrie" in done.stdout, line
