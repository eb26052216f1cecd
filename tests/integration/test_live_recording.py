"""The recording through the whole pipeline: what live clients are sent is what pages show afterwards."""

import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from tests.up_process import Up

pytestmark = pytest.mark.integration

_FILTER = "sensors=^lab-cowrie$"
_PATIENCE = 60.0


def streamed(demo: Up, view: str) -> Iterator[dict[str, Any]]:
    """The rows of a stream from the beginning of the log on; ends with an error when nothing more comes."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{demo.ports.http}/{view}/stream?{_FILTER}", headers={"Last-Event-ID": "0"}
    )
    with urllib.request.urlopen(asked, timeout=_PATIENCE) as answer:
        deadline = time.monotonic() + _PATIENCE
        for line in answer:
            # Ids without rows come all the time.
            assert time.monotonic() < deadline, "no more rows came"
            if line.startswith(b"data: "):
                yield msgspec.json.decode(line.removeprefix(b"data: "))


def page(demo: Up, view: str) -> list[dict[str, Any]]:
    status, body = demo.get(f"/{view}?{_FILTER}&response_per_page=1000")
    assert status == 200
    rows: list[dict[str, Any]] = msgspec.json.decode(body)["events"]
    return rows


def in_order(rows: list[dict[str, Any]]) -> list[bytes]:
    return sorted(msgspec.json.encode(row, order="deterministic") for row in rows)


def test_events_are_streamed_as_pages_show_them(demo: Up) -> None:
    shown = page(demo, "events")
    with closing(streamed(demo, "events")) as rows:
        assert in_order([next(rows) for _ in shown]) == in_order(shown)


def test_the_last_version_of_each_session_is_as_pages_show_it(demo: Up) -> None:
    shown = in_order(page(demo, "sessions"))
    latest: dict[str, dict[str, Any]] = {}
    versions: dict[str, list[int]] = {}
    with closing(streamed(demo, "sessions")) as rows:
        while in_order(list(latest.values())) != shown:
            row = next(rows)
            latest[row["session_id"]] = row
            versions.setdefault(row["session_id"], []).append(row["details"]["version"])
    assert all(each == sorted(each) for each in versions.values())
