"""Suricata's lines through the whole house: all that is said of a flow is its session, in every API."""

import asyncio
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from schemas.times import HOUR, SECOND, parse_time, rfc3339
from tests.conformance.views import Side, View
from tests.sensors.showing import shown_everywhere
from tests.up_process import PATIENCE, Up, wait_for

pytestmark = pytest.mark.integration

BEGAN = parse_time("2026-11-20T10:00:00.386389Z")
FLOW_ID = 252156359044262
REQUESTS = 60


def line(sensor: str, event_type: str, time: int, flow_id: int, **more: Any) -> dict[str, Any]:
    ends = {"src_ip": "192.0.2.7", "src_port": 4022, "dest_ip": "198.51.100.7", "dest_port": 443, "proto": "TCP"}
    when = rfc3339(time).replace("Z", "+0000")
    return {"timestamp": when, "host": sensor, "flow_id": flow_id, "event_type": event_type, **ends, **more}


def life(sensor: str, began: int, seconds: int, flow_id: int = FLOW_ID) -> list[dict[str, Any]]:
    """A connection that is used for a while, as Suricata logs it: its own record comes last, and late."""
    end = began + seconds * SECOND
    start = rfc3339(began)
    return [
        line(sensor, "tls", began + 20_000, flow_id, tls={"sni": "shop.example"}),
        line(
            sensor,
            "alert",
            began + 30_000,
            flow_id,
            alert={"signature_id": 2027, "signature": "ET TEST"},
            flow={"start": start, "pkts_toserver": 4},
        ),
        *(
            line(
                sensor,
                "http",
                began + (1 + number * seconds // REQUESTS) * SECOND,
                flow_id,
                http={"hostname": "shop.example", "http_method": "GET", "url": f"/{number}"},
            )
            for number in range(REQUESTS)
        ),
        line(
            sensor,
            "flow",
            end + 61 * SECOND,
            flow_id,
            app_proto="http",
            flow={"start": start, "end": rfc3339(end), "state": "closed", "reason": "timeout"},
        ),
    ]


def produced(up: Up, file: Path, lines: list[dict[str, Any]]) -> None:
    """Handed over by `sojourn produce`, as an operator does it."""
    file.write_text("".join(json.dumps(each, separators=(",", ":")) + "\n" for each in lines))
    command = [sys.executable, "-m", "deploy", "produce", "suricata", str(file), f"--kafka=127.0.0.1:{up.ports.kafka}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr


SESSIONS = """SELECT session_id, event_count, state, server_name FROM sessions_current
WHERE sensor = {sensor:String} ORDER BY started_at"""
EVENTS = "SELECT count() FROM events WHERE sensor = {sensor:String}"


async def test_all_lines_of_a_flow_are_its_session_in_every_api(demo: Up, tmp_path: Path) -> None:
    sensor = f"ids-{uuid.uuid4().hex[:8]}"
    later = BEGAN + 5 * HOUR
    lines = life(sensor, BEGAN, 600) + life(sensor, later, 20)
    # A scan that nobody answers is known by its flow record alone.
    lines += life(sensor, BEGAN, 1, FLOW_ID + 1)[-1:]
    count = REQUESTS + 3
    await asyncio.to_thread(produced, demo, tmp_path / "eve.json", lines)
    first, second = (f"{FLOW_ID}-{began // SECOND}" for began in (BEGAN, later))
    lone = f"{FLOW_ID + 1}-{BEGAN // SECOND}"
    found: list[tuple[Any, ...]] = []

    def settled() -> bool:
        found[:] = demo.rows(SESSIONS, sensor=sensor)
        expected = [(first, count, "closed", "shop.example"), (lone, 1, "closed", "")]
        return sorted(found[:2]) == sorted(expected) and found[2:] == [(second, count, "closed", "shop.example")]

    await asyncio.to_thread(wait_for, "the flows of both lives and the lone one", settled, found)
    await asyncio.to_thread(demo.wait_rows, [(2 * count + 1,)], EVENTS, sensor=sensor)
    for began, session_id, seconds in ((BEGAN, first, 600), (later, second, 20)):
        truth = View(
            start=began,
            end=began + seconds * SECOND,
            client=Side("192.0.2.7", 4022),
            server=Side("198.51.100.7", 443),
            open=False,
            duration=float(seconds),
            user="",
            protocol="http",
            mac="",
            events=count,
            guessed=False,
        )
        await shown_everywhere(demo, sensor, session_id, truth)
        _, text = demo.get(f"/api/audit/sessions/{quote(session_id)}")
        shown = json.loads(text)["body"]
        assert (shown["server"]["name"], shown["protocol"]) == ("shop.example", "HTTP")
        assert attributes_of(demo, sensor, session_id)["alert.2027"] == "ET TEST"
    # What happened while the flow was young, and what names its start, says the session itself.
    named = session_ids_of_events(demo, sensor)
    assert named["tls"] == named["alert"] == named["flow"] - {lone} == {first, second}
    # The same file again changes nothing.
    await asyncio.to_thread(produced, demo, tmp_path / "again.json", lines)
    await asyncio.to_thread(demo.wait_rows, [(2 * count + 1,)], EVENTS, sensor=sensor)
    assert settled()


def attributes_of(up: Up, sensor: str, session_id: str) -> dict[str, str]:
    """As Honeytrap's list of sessions tells it."""
    _, text = up.get(f"/sessions?sensors=%5E{sensor}%24&page=1&response_per_page=10")
    [row] = [row for row in json.loads(text)["events"] if row["session_id"] == session_id]
    found: dict[str, str] = row["details"]["attributes"]
    return found


def session_ids_of_events(up: Up, sensor: str) -> dict[str, set[str]]:
    """Event type → the sessions that Honeytrap's list of events names."""
    _, text = up.get(f"/events?sensors=%5E{sensor}%24&page=1&response_per_page=1000")
    found: dict[str, set[str]] = {}
    for row in json.loads(text)["events"]:
        found.setdefault(row["details"]["event_type"], set()).add(row["session_id"])
    return found
