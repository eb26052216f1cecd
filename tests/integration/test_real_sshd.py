"""Debian's sshd on loopback, visited by a real SSH client; what it logs is followed by the decoder `sshd`."""

import asyncio
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import asyncssh
import pytest

from schemas.times import SECOND, from_datetime
from tests.conformance.views import Side, View
from tests.sensors.following import followed
from tests.sensors.programs import open_folder, running
from tests.sensors.showing import closed_session, shown_everywhere
from tests.sensors.syslog import SOCKET, syslog_into
from tests.stack import free_port
from tests.up_process import Up, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow]

_SSHD = Path("/usr/sbin/sshd")
_COMMAND = "uname -a; sleep 1.1"

#: What says something about a connection (docs/formats/sshd.md); the rest of its lines are events of none.
_TELLING = ("Connection from ", "Accepted publickey ", "pam_unix(sshd:session): session ")

_CONFIGURATION = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/keys
StrictModes no
UsePAM yes
PermitRootLogin yes
PidFile none
LogLevel VERBOSE
"""


@pytest.fixture
def key() -> asyncssh.SSHKey:
    """Of a visitor. The tests skip, saying why, where sshd cannot be run as Debian runs it."""
    if not _SSHD.exists():
        pytest.skip(f"there is no {_SSHD}: openssh-server is not installed")
    if os.getuid() != 0:
        pytest.skip("sshd says that a session has closed only where it runs as root")
    if SOCKET.exists():
        pytest.skip(f"{SOCKET} belongs to another program: what sshd logs would go there")
    return asyncssh.generate_private_key("ssh-ed25519")


@contextmanager
def sshd(folder: Path, key: asyncssh.SSHKey) -> Iterator[int]:
    """Runs until the context ends; its port."""
    port = free_port()
    host = asyncssh.generate_private_key("ssh-ed25519")
    (folder / "host").touch(0o600)
    host.write_private_key(str(folder / "host"))
    key.write_public_key(str(folder / "keys"))
    (folder / "cfg").write_text(_CONFIGURATION.format(port=port, folder=folder))
    Path("/run/sshd").mkdir(exist_ok=True)
    subprocess.run([_SSHD, "-t", "-f", str(folder / "cfg")], check=True, timeout=30)
    with running([str(_SSHD), "-D", "-f", str(folder / "cfg")], folder / "said"):
        yield port


async def visit(port: int, key: asyncssh.SSHKey) -> int:
    """Is refused under a name that nobody has, then logs in and runs a command; the client's port."""
    options = {"known_hosts": None, "config": None, "agent_path": None, "client_keys": [key]}
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect("127.0.0.1", port, username="nobody-of-that-name", **options)
    async with asyncssh.connect("127.0.0.1", port, username="root", **options) as connection:
        assert (await connection.run(_COMMAND, check=True)).stdout
        return int(connection.get_extra_info("sockname")[1])


def said_by(log: Path, client_port: int) -> View:
    """The session as the log tells of it: from the first line of its process to the last."""
    lines = [line.split(" ", 3) for line in log.read_text().splitlines()]
    [process] = {line[2] for line in lines if line[3].startswith(f"Connection from 127.0.0.1 port {client_port} ")}
    mine = [line for line in lines if line[2] == process]
    assert mine[-1][3] == "pam_unix(sshd:session): session closed for user root"
    start, end = (from_datetime(datetime.fromisoformat(line[0])) for line in (mine[0], mine[-1]))
    server = int(mine[0][3].split(" port ")[2].split()[0])
    return View(
        start=start,
        end=end,
        client=Side("127.0.0.1", client_port),
        server=Side("127.0.0.1", server),
        open=False,
        duration=(end - start) / SECOND,
        user="root",
        protocol="ssh",
        mac="",
        events=sum(line[3].startswith(_TELLING) for line in mine),
        guessed=False,
    )


async def test_a_visit_to_a_real_sshd_is_one_session_in_every_api(demo: Up, key: asyncssh.SSHKey) -> None:
    host = f"real-sshd-{uuid.uuid4().hex[:8]}"
    with open_folder() as folder:
        log = folder / "auth.log"
        with syslog_into(log, host, b"sshd"), sshd(folder, key) as port:
            await asyncio.to_thread(
                wait_for, "sshd to listen", lambda: b"Server listening on" in log.read_bytes(), log.read_bytes
            )
            async with followed("sshd", log, folder, demo):
                client_port = await visit(port, key)
                session_id = await closed_session(demo, host, client_port)
                await shown_everywhere(demo, host, session_id, said_by(log, client_port))
    command = f"Starting session: command for root from 127.0.0.1 port {client_port} id 0"
    told = demo.rows(
        "SELECT count() FROM events WHERE sensor = {sensor:String} AND data = {said:String}", sensor=host, said=command
    )
    assert told == [(1,)]
    refused = demo.rows(
        "SELECT user, count() FROM events WHERE sensor = {sensor:String} AND data LIKE 'Invalid user%' GROUP BY user",
        sensor=host,
    )
    assert refused == [("nobody-of-that-name", 1)]
