"""A real Cowrie on loopback, visited by a real SSH client, by both ways into Sojourn: its log, and its Kafka output."""

import asyncio
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime
from pathlib import Path

import asyncssh
import msgspec
import pytest

from deploy.addresses import Address
from schemas.times import SECOND, from_datetime
from tests.conformance.views import Side, View
from tests.jars import NoJarsError
from tests.kafka.broker import KafkaBroker
from tests.sensors.following import followed
from tests.sensors.programs import NOBODY, as_nobody, open_folder, python_for_nobody, running
from tests.sensors.showing import closed_session, commands_of, shown_everywhere
from tests.stack import free_port
from tests.up_process import PATIENCE, Ports, Up, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(360)]

#: Its Kafka output, there since 3.0.10, needs the second.
_PACKAGES = ("cowrie", "aiokafka")
_COMMANDS = ["uname -a", "cat /etc/passwd", "echo seen by a real sensor"]
_USER, _PASSWORD = "root", "hunter2"

_CONFIGURATION = """\
[honeypot]
sensor_name = {sensor}
state_path = var
log_path = log
download_path = downloads
ttylog_path = tty
[ssh]
listen_endpoints = tcp:{port}:interface=127.0.0.1
[telnet]
enabled = false
[output_jsonlog]
enabled = true
logfile = log/cowrie.json
[output_kafka]
enabled = {kafka}
host = 127.0.0.1
port = {broker}
topic = sensor.native.cowrie
"""


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """The programs of a venv with Cowrie in it."""
    python = python_for_nobody()
    with open_folder() as folder:
        subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True, capture_output=True, timeout=120)
        found = folder / "venv" / "bin"
        installed = subprocess.run(
            [str(found / "pip"), "install", "--quiet", "--disable-pip-version-check", *_PACKAGES],
            check=False,
            capture_output=True,
            text=True,
            timeout=170,
        )
        if installed.returncode != 0:
            pytest.skip(f"Cowrie cannot be installed: {installed.stderr[-500:]}")
        # The list of Twisted's plugins is made on their first use, by who may write it.
        subprocess.run([str(found / "twistd"), "--help"], cwd=folder, check=True, capture_output=True, timeout=60)
        yield found


class Honeypot(msgspec.Struct, frozen=True):
    folder: Path
    port: int
    sensor: str

    @property
    def log(self) -> Path:
        return self.folder / "log" / "cowrie.json"


@asynccontextmanager
async def cowrie(programs: Path, up: Up, way: str) -> AsyncIterator[Honeypot]:
    """Runs until the context ends, as an account without rights."""
    with open_folder() as folder:
        honeypot = Honeypot(folder, free_port(), f"real-cowrie-{uuid.uuid4().hex[:8]}")
        for name in ("etc", "var", "log", "downloads", "tty"):
            (folder / name).mkdir()
        (folder / "etc" / "cowrie.cfg").write_text(
            _CONFIGURATION.format(
                sensor=honeypot.sensor,
                port=honeypot.port,
                kafka=str(way == "kafka").lower(),
                broker=up.ports.kafka,
            )
        )
        if os.getuid() == 0:
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, NOBODY)
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder), "COWRIE_STDOUT": "yes", "TZ": "UTC"}
        command = [str(programs / "cowrie"), "start", "--", "--reactor=asyncio"]
        said = folder / "said"
        with running(command, said, cwd=folder, env=environment, **as_nobody()) as process:

            def ready() -> bool:
                text = said.read_text()
                assert process.poll() is None, text
                return "Ready to accept SSH connections" in text

            await asyncio.to_thread(wait_for, "Cowrie to accept connections", ready, said)
            yield honeypot


async def visit(honeypot: Honeypot) -> int:
    """Logs in and types commands; the client's port."""
    async with asyncssh.connect(
        "127.0.0.1",
        honeypot.port,
        username=_USER,
        password=_PASSWORD,
        known_hosts=None,
        client_keys=None,
        config=None,
        agent_path=None,
    ) as connection:
        port = int(connection.get_extra_info("sockname")[1])
        async with connection.create_process(term_type="xterm") as shell:
            for command in _COMMANDS:
                shell.stdin.write(command + "\n")
                await asyncio.wait_for(shell.stdout.readuntil("# "), PATIENCE)
            # Longer than a second, the least that SPS tells.
            await asyncio.sleep(1.1)
            shell.stdin.write("exit\n")
            await asyncio.wait_for(shell.wait_closed(), PATIENCE)
    return port


def said_by(log: Path, session_id: str) -> View:
    """The session as Cowrie's own log tells of it."""
    lines = [each for line in log.read_bytes().splitlines() if (each := json.loads(line))["session"] == session_id]
    began, ended = lines[0], lines[-1]
    assert (began["eventid"], ended["eventid"]) == ("cowrie.session.connect", "cowrie.session.closed")
    start, end = (from_datetime(datetime.fromisoformat(line["timestamp"])) for line in (began, ended))
    return View(
        start=start,
        end=end,
        client=Side(began["src_ip"], began["src_port"]),
        server=Side(began["dst_ip"], began["dst_port"]),
        open=False,
        duration=(end - start) / SECOND,
        user=_USER,
        protocol="ssh",
        mac="",
        events=len(lines),
        guessed=False,
    )


@pytest.mark.parametrize("way", ["log", "kafka"])
async def test_a_visit_to_a_real_cowrie_is_one_session_in_every_api(programs: Path, demo: Up, way: str) -> None:
    async with cowrie(programs, demo, way) as honeypot:
        if way == "log":
            following: AbstractAsyncContextManager[None] = followed("cowrie", honeypot.log, honeypot.folder, demo)
        else:
            following = nullcontext()
        async with following:
            await _visited(honeypot, demo)


@pytest.fixture
def up_on_kafka(tmp_path: Path) -> Iterator[Up]:
    """``sojourn up`` before an Apache Kafka that runs already, as an operator has it for keeps."""
    ports = Ports()
    address, controller = (Address("127.0.0.1", port) for port in (ports.kafka, free_port()))
    try:
        broker = KafkaBroker(tmp_path, address, controller)
    except NoJarsError as error:
        pytest.skip(f"no Apache Kafka: {error}")
    broker.start()
    try:
        options = [each for each in ports.options() if not each.startswith("--kafka")]
        with Up(ports, *options, f"--kafka-bootstrap={address}", "--ephemeral") as up:
            up.wait_ready()
            yield up
    finally:
        broker.stop()


async def test_a_visit_reaches_apache_kafka_by_cowries_own_output_and_is_one_session_in_every_api(
    programs: Path, up_on_kafka: Up
) -> None:
    async with cowrie(programs, up_on_kafka, "kafka") as honeypot:
        await _visited(honeypot, up_on_kafka)


async def _visited(honeypot: Honeypot, demo: Up) -> None:
    port = await visit(honeypot)
    session_id = await closed_session(demo, honeypot.sensor, port)
    assert await commands_of(demo, honeypot.sensor, len(_COMMANDS) + 1) == [*_COMMANDS, "exit"]
    truth = said_by(honeypot.log, session_id)
    told = await shown_everywhere(demo, honeypot.sensor, session_id, truth)
    for command in _COMMANDS:
        assert json.dumps(command)[1:-1] in told
    count = "SELECT count() FROM sessions_current WHERE sensor = {sensor:String}"
    assert demo.rows(count, sensor=honeypot.sensor) == [(1,)]
