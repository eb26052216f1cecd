"""The journal's reader. Machines that run the tests need not have a journal, so a small program stands in for
journalctl: it answers from a file, by the options of the real one. What it cannot show is journald itself.
"""

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from producers.destination import destination_of
from producers.formats import Rejection
from producers.inputs.files import UnreadableFileError
from producers.inputs.journal import command_of, journal_batches
from producers.inputs.positions import Positions

JOURNALCTL = """#!{python}
import sys, time
options = sys.argv[1:]
assert "--output=json" in options and "--all" in options, options
after = next((each.split("=", 1)[1] for each in options if each.startswith("--after-cursor=")), "")
if after == "s=gone":
    sys.exit("Failed to seek to cursor: Invalid argument")
lines = open({file!r}).read().splitlines()
known = ['"__CURSOR": "' + after + '"' in line for line in lines]
begin = known.index(True) + 1 if True in known else 0
while True:
    for line in lines[begin:]:
        print(line, flush=True)
    if "--follow" not in options:
        break
    begin = len(lines)
    time.sleep(0.02)
    lines = open({file!r}).read().splitlines()
"""


def entry(number: int, message: str) -> bytes:
    said = {
        "__CURSOR": f"s=1;i={number}",
        "__REALTIME_TIMESTAMP": str(1_763_805_600_000_000 + number),
        "_HOSTNAME": "door",
        "_PID": "77",
        "SYSLOG_IDENTIFIER": "sshd",
        "MESSAGE": message,
    }
    return json.dumps(said).encode()


ENTRIES = [entry(number, f"Failed password for root from 192.0.2.7 port {number} ssh2") for number in range(1, 7)]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file, program = tmp_path / "journal", tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(JOURNALCTL.format(python=sys.executable, file=str(file)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return file


def write(journal: Path, entries: list[bytes]) -> None:
    journal.write_bytes(b"".join(line + b"\n" for line in entries))


async def read(count: int, positions: Positions | None, source: str = "journal:") -> list[bytes]:
    """So many entries and no more, each delivered; without positions all that there are."""
    stop, found = asyncio.Event(), []
    async with asyncio.timeout(30):
        async for batch in journal_batches(source, "sshd", 10_000, stop, lambda size: None, positions):
            found += [line.value or b"" for line in batch.lines]
            batch.delivered()
            if positions is not None and len(found) >= count:
                stop.set()
    return found


async def test_the_journal_is_read_to_its_end_and_its_entries_are_what_the_decoder_takes(journal: Path) -> None:
    write(journal, ENTRIES)
    assert await read(0, None) == ENTRIES
    assert not isinstance(destination_of("sshd", ENTRIES[0]), Rejection)


async def test_a_second_run_goes_on_after_the_cursor_of_the_first(journal: Path, tmp_path: Path) -> None:
    given: list[bytes] = []
    for upto in (2, 3, 6):
        write(journal, ENTRIES[:upto])
        positions = Positions(tmp_path / "kept.json", "sshd", "k", ["journal:"])
        positions.open()
        given += await read(upto - len(given), positions)
        positions.close()
        assert given == ENTRIES[:upto]


async def test_what_journalctl_says_when_it_ends_is_the_reason(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(journal, ENTRIES)
    positions = Positions(tmp_path / "kept.json", "sshd", "k", ["journal:"])
    positions.open()
    positions.set_cursor("journal:", "s=gone")
    with pytest.raises(UnreadableFileError, match="code 1: Failed to seek to cursor"):
        await read(1, positions)
    positions.close()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnreadableFileError, match="there is no journalctl here"):
        await read(1, None)


def test_a_unit_is_asked_for_by_name_and_the_server_by_its_programs() -> None:
    named = command_of("journal:ssh.service", "sshd", follow=True, cursor="s=1")
    assert named[-4:] == ["--unit=ssh.service", "--follow", "--lines=all", "--after-cursor=s=1"]
    by_program = command_of("journal:", "sshd", follow=False, cursor="")
    assert [each for each in by_program if each.startswith("--identifier")] == [
        "--identifier=sshd",
        "--identifier=sshd-session",
        "--identifier=sshd-auth",
    ]
