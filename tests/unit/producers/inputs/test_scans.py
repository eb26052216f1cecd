"""Scans of a network, one after the other: the rows that NetAlertX would write of them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from producers.formats import DECODERS, Rejection
from producers.inputs.files import UnreadableFileError
from producers.inputs.lines import Line
from producers.inputs.reading import read_all
from producers.inputs.scans import Scans
from producers.produce_report import Report
from producers.record_ids import RecordIds
from schemas.settings import Settings

A, B = "aa:00:00:00:00:01", "AA-00-00-00-00-02"


def seen(minute: int, mac: str, ip: str = "10.0.0.1", **more: Any) -> bytes:
    return json.dumps({"time": f"2026-11-22T10:{minute:02}:00Z", "mac": mac, "ip": ip, **more}).encode()


def rows_of(lines: list[Line]) -> list[tuple[str, int, str, str]]:
    """Device, minute, kind and info of the rows among the lines."""
    found = []
    for line in lines:
        row = json.loads(line.value or b"")
        if "eve_MAC" in row:
            decoded = DECODERS["netalertx"](line.value or b"")
            assert not isinstance(decoded, Rejection)
            minute = int(row["eve_DateTime"][14:16])
            found.append((row["eve_MAC"], minute, row["eve_EventType"], row["eve_AdditionalInfo"]))
    return found


def compare(scans: Scans, *values: bytes) -> list[tuple[str, int, str, str]]:
    lines = [Line(number, len(value), value) for number, value in enumerate(values, 1)]
    found = scans.compared(lines)
    # The lines themselves stay as they are, in their order.
    assert [line.value for line in found if b"eve_MAC" not in (line.value or b"")] == list(values)
    return rows_of(found)


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        ([seen(0, A, vendor="Acme")], [(A, 0, "New Device", "Acme")]),
        ([seen(0, A), seen(5, A), seen(10, A)], [(A, 0, "New Device", "")]),
        (
            [seen(0, A), seen(0, B), seen(5, A), seen(10, A), seen(10, B), seen(15, A)],
            [(A, 0, "New Device", ""), (B, 0, "New Device", ""), (B, 5, "Disconnected", ""), (B, 10, "Connected", ""),
             (B, 15, "Disconnected", "")],
        ),
        (
            [seen(0, A), seen(0, B, alert_down=True), seen(5, A), seen(10, A), seen(15, A), seen(15, B)],
            [(A, 0, "New Device", ""), (B, 0, "New Device", ""), (B, 5, "Device Down", ""),
             (B, 15, "Down Reconnected", "")],
        ),
        (
            [seen(0, A), seen(5, A, "10.0.0.9"), seen(10, A, "")],
            [(A, 0, "New Device", ""), (A, 5, "IP Changed", "Previous IP: 10.0.0.1")],
        ),
        # The same device in other letters, twice in one scan; one that came late.
        ([seen(0, B), seen(0, B.lower().replace("-", ":")), seen(5, B), seen(3, A)], [(B, 0, "New Device", "")]),
    ],
)  # fmt: skip
def test_one_scan_after_the_other(tmp_path: Path, lines: list[bytes], rows: list[tuple[str, int, str, str]]) -> None:
    scans = Scans(tmp_path / "scans.json")
    found = compare(scans, *lines)
    assert [*found, *rows_of(scans.ended(9))] == rows
    scans.close()
    # What is known is kept where it is saved, and line by line gives the same.
    single: list[tuple[str, int, str, str]] = []
    for line in lines:
        scans = Scans(tmp_path / "line-by-line.json")
        single += compare(scans, line)
        scans.save()
        scans.close()
    scans = Scans(tmp_path / "line-by-line.json")
    assert single == found
    # The same scans a second time say nothing.
    assert compare(scans, *lines[:-1]) == []


def test_sensors_are_compared_each_with_itself_and_other_lines_pass(tmp_path: Path) -> None:
    scans = Scans(tmp_path / "none" / "scans.json")
    other = [
        b"",
        b"nonsense",
        b'{"mac": 5}',
        b'{"mac": "a", "time": "never"}',
        b'{"eve_MAC": "x", "mac": "", "time": 1}',
    ]
    assert scans.compared([Line(1, len(each), each) for each in other]) == [Line(1, len(each), each) for each in other]
    assert not scans.path.parent.exists()
    rows = compare(scans, seen(0, A, sensor="one"), seen(5, A, sensor="two"), seen(5, B, sensor="one"), seen(9, B))
    assert rows == [(A, 0, "New Device", ""), (A, 5, "New Device", ""), (B, 5, "New Device", ""),
                    (B, 9, "New Device", "")]  # fmt: skip
    with pytest.raises(UnreadableFileError, match="another sojourn produce"):
        compare(Scans(scans.path), seen(0, A))
    scans.close()
    scans.path.write_bytes(b"[]")
    with pytest.raises(UnreadableFileError, match="does not hold scans"):
        compare(Scans(scans.path), seen(0, A))


async def test_files_of_scans_are_compared_over_calls_and_a_dry_run_keeps_nothing(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(Settings(), data=str(tmp_path))
    files = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    files[0].write_bytes(seen(0, A) + b"\n" + seen(0, B) + b"\n")
    files[1].write_bytes(seen(5, A) + b"\n")

    async def read(*paths: Path, deliver: bool = True) -> list[tuple[str, int, str, str]]:
        found, report = [], Report(format="netalertx")
        batches = read_all(settings, "netalertx", [str(path) for path in paths], None, asyncio.Event(), report)
        async for batch in batches:
            assert isinstance(batch.ids, RecordIds)
            found += rows_of(batch.lines)
            if deliver:
                batch.delivered()
        assert report.unreadable == {}
        return found

    first = [(A, 0, "New Device", ""), (B, 0, "New Device", "")]
    gone = [(B, 5, "Disconnected", "")]
    assert await read(*files, deliver=False) == first + gone
    assert await read(files[0]) == first
    assert await read(files[1]) == gone
    assert await read(*files) == []
