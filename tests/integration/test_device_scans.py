"""Scans of a network, handed over file by file with `sojourn produce`, as NetAlertX's clients see the devices."""

import asyncio
import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.conformance.netalertx import a_mac
from tests.up_process import PATIENCE, Up, wait_for

pytestmark = pytest.mark.integration

Rows = list[tuple[str, str, str, str]]


def scan(sensor: str, minute: int, *macs: str, alert_down: str = "") -> list[str]:
    """One scan: a line for each device that it found."""
    time = f"2026-11-20T10:{minute:02}:00Z"
    return [
        json.dumps({"time": time, "mac": mac, "ip": "10.0.0.7", "sensor": sensor, "alert_down": mac == alert_down})
        for mac in macs
    ]


def produced(up: Up, folder: Path, name: str, lines: list[str]) -> None:
    """One run; what was seen last is kept between runs in the data folder."""
    file = folder / name
    file.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "deploy", "produce", "netalertx", str(file)]
    command += [f"--kafka=127.0.0.1:{up.ports.kafka}"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "SOJOURN_DATA": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr


def listed(up: Up, macs: list[str]) -> Rows:
    """Device, how it came, how it left, how long, in the order in which they came."""
    found: Rows = []
    for number, mac in enumerate(macs):
        _, text = up.get(f"/sessions/list?mac={mac}")
        rows = json.loads(text)["sessions"]
        rows.sort(key=lambda row: str(row["ses_DateTimeConnection"]))
        found += [
            (
                f"d{number}",
                f"{row['ses_EventTypeConnection']} {str(row['ses_DateTimeConnection'])[11:16]}",
                f"{row['ses_EventTypeDisconnection']} {str(row['ses_DateTimeDisconnection'])[11:16]}",
                str(row["ses_StillConnected"]),
            )
            for row in rows
        ]
    return found


async def test_devices_that_come_and_go_between_scans_are_sessions_over_runs(demo: Up, tmp_path: Path) -> None:
    sensor = f"scan-{uuid.uuid4().hex[:8]}"
    stays, leaves, alarms = macs = [a_mac() for _ in range(3)]
    seen: Rows = []

    async def until(*expected: tuple[str, str, str, str]) -> None:
        def there() -> bool:
            seen[:] = listed(demo, macs)
            return seen == list(expected)

        await asyncio.to_thread(wait_for, f"the sessions {expected}", there, seen)

    first = scan(sensor, 0, *macs, alert_down=alarms) + scan(sensor, 5, *macs, alert_down=alarms)
    await asyncio.to_thread(produced, demo, tmp_path, "first.jsonl", first)
    open_ones = [(f"d{number}", "New Device 10:00", "None ", "1") for number in range(3)]
    await until(*open_ones)
    # Another run, which knows of the first: two are missing, and one of them comes back.
    second = scan(sensor, 10, stays) + scan(sensor, 15, stays, leaves)
    await asyncio.to_thread(produced, demo, tmp_path, "second.jsonl", second)
    expected = (
        ("d0", "New Device 10:00", "None ", "1"),
        ("d1", "New Device 10:00", "Disconnected 10:10", "0"),
        ("d1", "Connected 10:15", "None ", "1"),
        ("d2", "New Device 10:00", "Device Down 10:10", "0"),
    )
    await until(*expected)
    # A file that was handed over before says nothing new.
    await asyncio.to_thread(produced, demo, tmp_path, "first.jsonl", first)
    await asyncio.to_thread(produced, demo, tmp_path, "third.jsonl", scan(sensor, 20, stays, leaves, alarms))
    await until(*expected, ("d2", "Down Reconnected 10:20", "None ", "1"))
