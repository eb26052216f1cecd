"""systemd's own journald and journalctl: what sshd's processes log is followed, and followed again after a pause."""

import asyncio
import json
import os
import socket
import subprocess
import uuid
from typing import Any

import pytest

from schemas.times import SECOND
from tests.conformance.views import Side, View
from tests.sensors.following import followed
from tests.sensors.journald import Journal, Program, journald
from tests.sensors.programs import open_folder
from tests.sensors.showing import closed_session, shown_everywhere
from tests.up_process import Up

pytestmark = pytest.mark.integration

_EVENTS = "SELECT count() FROM events WHERE token != '' AND client_ip = {client:String}"


def a_port() -> int:
    return 20_000 + uuid.uuid4().int % 40_000


def visit(program: Program, client: str, port: int) -> None:
    """The beginning of a connection, as sshd logs it."""
    program.say(f'Connection from {client} port {port} on 192.0.2.1 port 22 rdomain ""')
    program.say(f"Failed password for root from {client} port {port} ssh2")
    program.say(f"Accepted password for root from {client} port {port} ssh2")


def said_by(journal: Journal, pid: int) -> list[dict[str, Any]]:
    """What the journal has of a process, by journalctl itself."""
    command = [journal.bin / "journalctl", f"_PID={pid}", "--output=json", "--quiet", "--no-pager"]
    text = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    return [json.loads(line) for line in text.splitlines()]


async def test_what_a_real_journal_has_is_a_session_in_every_api(demo: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    client = f"198.51.{uuid.uuid4().int % 250}.{uuid.uuid4().int % 250}"
    first, second = a_port(), a_port()
    with open_folder() as folder, journald(folder) as journal:
        monkeypatch.setenv("PATH", f"{journal.bin}{os.pathsep}{os.environ['PATH']}")
        with journal.program() as one, journal.program() as other:
            async with followed("sshd", "journal:", folder, demo):
                visit(one, client, first)
                visit(other, client, second)
                one.say("pam_unix(sshd:session): session closed for user root")
                session_id = await closed_session(demo, socket.gethostname(), first)
            told = said_by(journal, one.pid)
            # Nobody follows meanwhile; the second run begins behind the cursor of the first.
            other.say("pam_unix(sshd:session): session closed for user root")
            async with followed("sshd", "journal:", folder, demo):
                await closed_session(demo, socket.gethostname(), second)
    start, end = (int(entry["__REALTIME_TIMESTAMP"]) for entry in (told[0], told[-1]))
    truth = View(
        start=start,
        end=end,
        client=Side(client, first),
        server=Side("192.0.2.1", 22),
        open=False,
        duration=(end - start) / SECOND,
        user="root",
        protocol="ssh",
        mac="",
        events=4,
        guessed=False,
    )
    await shown_everywhere(demo, socket.gethostname(), session_id, truth)
    # Each entry once, though it was followed twice.
    await asyncio.to_thread(demo.wait_rows, [(6,)], _EVENTS, client=client)
