"""A file imported twice, or a year late: events and sessions are those of one import."""

import asyncio
import json
from pathlib import Path

import pytest

from deploy.demo import recording
from producers.produce import produce
from schemas.records import Action, Connection
from schemas.settings import Kafka, Settings
from schemas.times import SECOND
from tests.stack import run_aside
from tests.up_process import Up

pytestmark = pytest.mark.integration

EVENTS = "SELECT count(), uniqExact(record_id) FROM events WHERE sensor = {sensor:String}"
SESSIONS = (
    "SELECT session_id, state, end_reason, duration, event_count, user, version, revision FROM sessions_current "
    "WHERE sensor = {sensor:String} AND NOT startsWith(session_id, 'marker') AND session_id != 'live' "
    "ORDER BY started_at"
)
COUNTS = [5, 16, 9, 6, 3, 8, 10, 10]


def log_of(sensor: str, year: str = "") -> list[bytes]:
    """The recording as that of another sensor, and of another year."""
    found = []
    for line in recording():
        record = json.loads(line) | {"sensor": sensor}
        if year:
            record["timestamp"] = year + record["timestamp"][4:]
        found.append(json.dumps(record).encode())
    return found


def marker(sensor: str, number: int) -> bytes:
    """A session of its own that has begun."""
    line = next(json.loads(line) for line in recording() if b"cowrie.session.connect" in line)
    return json.dumps(line | {"sensor": sensor, "session": f"marker{number}"}).encode()


def published(up: Up, file: Path, lines: list[bytes]) -> None:
    file.write_bytes(b"\n".join(lines))
    settings = Settings(kafka=Kafka(bootstrap=f"127.0.0.1:{up.ports.kafka}"))
    report = run_aside(asyncio.wait_for(produce(settings, "cowrie", [str(file)]), 60))
    assert (report.published, report.exit_code) == (len(lines), 0)


def test_a_file_that_is_imported_again_changes_nothing(demo: Up, sensor: str, tmp_path: Path) -> None:
    lines = log_of(sensor)
    # Twice at once: the second copy is read before anything of the first is stored.
    published(demo, tmp_path / "log.json", lines)
    published(demo, tmp_path / "log.json.1", lines)
    demo.wait_rows([(67, 67)], EVENTS, sensor=sensor)
    counts = f"SELECT groupArray(event_count) FROM ({SESSIONS})"  # noqa: S608 - constants of this module
    demo.wait_rows([(COUNTS,)], counts, sensor=sensor)
    before = demo.rows(SESSIONS, sensor=sensor)
    assert [row[1:3] for row in before] == [("closed", "disconnect")] * 8
    # And later, with new lines at the end, some in every partition: when they are sessions everything before is done.
    markers = 40
    published(demo, tmp_path / "renamed.json", lines + [marker(sensor, number) for number in range(markers)])
    open_markers = (
        "SELECT count() FROM sessions_current WHERE sensor = {sensor:String} AND startsWith(session_id, 'marker')"
    )
    demo.wait_rows([(markers,)], open_markers, sensor=sensor)
    demo.wait_rows([(67 + markers, 67 + markers)], EVENTS, sensor=sensor)
    assert demo.rows(SESSIONS, sensor=sensor) == before, "not even a new version"


def test_an_import_of_last_years_log_beside_the_live_sensor_gives_the_sessions_of_an_empty_system(
    demo: Up, sensor: str, tmp_path: Path
) -> None:
    live = Connection(
        action=Action.CONNECT,
        sensor=sensor,
        time=demo.rows("SELECT toUnixTimestamp64Micro(now64(6))")[0][0],
        session_id="live",
        protocol="ssh",
        client_ip="192.0.2.9",
        client_port=1,
    )
    demo.publish(live)
    demo.wait_rows(
        [("open",)], "SELECT state FROM sessions_current WHERE sensor = {s:String} AND session_id = 'live'", s=sensor
    )
    old = log_of(sensor, "2024")
    published(demo, tmp_path / "old.json", old)
    empty = f"{sensor}-empty"
    published(demo, tmp_path / "empty.json", log_of(empty, "2024"))
    counts = f"SELECT groupArray(event_count) FROM ({SESSIONS})"  # noqa: S608 - constants of this module
    for name in (sensor, empty):
        demo.wait_rows([(COUNTS,)], counts, sensor=name)
    assert demo.rows(SESSIONS, sensor=sensor) == demo.rows(SESSIONS, sensor=empty)
    later = Connection(
        action=Action.DISCONNECT,
        sensor=sensor,
        time=live.time + 7 * SECOND,
        session_id="live",
        protocol="ssh",
        client_ip="192.0.2.9",
        client_port=1,
    )
    demo.publish(later)
    duration = "SELECT duration FROM sessions_current WHERE sensor = {s:String} AND session_id = 'live'"
    demo.wait_rows([(7.0,)], duration, s=sensor)
