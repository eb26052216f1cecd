"""``sojourn up`` as a person or a service manager uses it."""

import asyncio
import base64
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.schema import apply_tables
from producers.kafka.publisher import Publisher
from schemas.records import Action, Connection
from schemas.settings import Kafka
from schemas.topics import EVENTS as EVENTS_TOPIC
from tests.stack import Stack, run_aside
from tests.up_process import Ports, Up, running, wait_for, wait_until_gone

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SESSIONS = """
SELECT session_id, state, duration FROM sessions_current WHERE sensor = {sensor:String} ORDER BY session_id
"""
EVENTS = "SELECT count() FROM events WHERE sensor = {sensor:String}"


@pytest.fixture(autouse=True)
def _embedded_only(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--stack") != "embedded":
        pytest.skip("sojourn up starts embedded servers; another --stack was asked for")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that runs for all tests which leave it running."""
    with _up(Ports(), f"--data={tmp_path_factory.mktemp('up')}") as running_up:
        running_up.wait_ready()
        yield running_up


def _record(action: Action, sensor: str, session: str, seconds: float) -> Connection:
    return Connection(
        action=action,
        sensor=sensor,
        session_id=session,
        time=round(seconds * 1_000_000),
        protocol="tcp",
        client_ip="192.0.2.1",
        client_port=4000,
    )


def _up(ports: Ports, *options: str) -> Up:
    return Up(ports, *ports.options(), *options)


def _sensor() -> str:
    return f"up-{uuid.uuid4().hex[:8]}"


def _end_by_sigterm(up: Up) -> None:
    assert up.stop() == 0, "\n".join(up.lines)


def _end_by_killing_all(up: Up) -> None:
    pids = [up.process.pid, *up.children().values()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    up.process.wait(10)


def _end_by_killing_the_supervisor(up: Up) -> None:
    up.process.kill()
    up.process.wait(10)


@pytest.mark.parametrize("end", [_end_by_sigterm, _end_by_killing_all, _end_by_killing_the_supervisor])
def test_what_was_stored_is_there_after_a_restart_and_open_sessions_go_on(end: object, tmp_path: Path) -> None:
    assert callable(end)
    ports, sensor, now = Ports(), _sensor(), time.time() - 100
    with _up(ports, f"--data={tmp_path}") as first:
        first.wait_ready()
        children = first.children()
        assert set(children) == {"broker", "clickhouse", "worker", "sink", "api"}
        first.publish(
            _record(Action.CONNECT, sensor, "a", now),
            _record(Action.DISCONNECT, sensor, "a", now + 2.5),
            _record(Action.CONNECT, sensor, "b", now + 1),
        )
        first.wait_rows([("a", "closed", 2.5), ("b", "open", None)], SESSIONS, sensor=sensor)
        first.wait_rows([(3,)], EVENTS, sensor=sensor)
        end(first)
        wait_until_gone(list(children.values()))
    with _up(ports, f"--data={tmp_path}") as second:
        second.wait_ready()
        second.publish(
            _record(Action.DISCONNECT, sensor, "b", now + 11),
            _record(Action.CONNECT, sensor, "c", now + 12),
        )
        second.wait_rows([("a", "closed", 2.5), ("b", "closed", 10.0), ("c", "open", None)], SESSIONS, sensor=sensor)
        second.wait_rows([(5,)], EVENTS, sensor=sensor)
        assert second.stop() == 0, "\n".join(second.lines)
        assert not running(list(second.children().values()))


def test_a_worker_that_ends_for_too_many_bad_records_stays_so_and_health_says_why() -> None:
    ports = Ports()
    limit = {"SOJOURN_DEAD_LETTERS_MAX_CONSECUTIVE": "5"}
    with Up(ports, *ports.options(), "--ephemeral", environment=limit) as up:
        up.wait_ready()

        async def publish() -> None:
            async with Publisher(Kafka(bootstrap=f"127.0.0.1:{ports.kafka}")) as publisher:
                await asyncio.gather(*await publisher.send_batch(EVENTS_TOPIC, 1, [(b"k", b"{", ())] * 9))

        run_aside(publish())
        line = up.wait_line("^worker +ended")
        assert "and stays so: sensor.events/1: " in line
        assert " in a row cannot be used, dead_letters.max_consecutive is 5; the last is not_json at offset " in line

        def said() -> bool:
            status, body = up.get("/health/ready")
            return status == 503 and "max_consecutive is 5" in json.loads(body)["checks"]["worker"]["message"]

        wait_for("health to say why", said, up.lines)
        assert "worker" not in up.children()
        assert up.stop() == 0


@pytest.mark.parametrize("name", ["api", "sink", "worker", "clickhouse", "broker"])
def test_a_process_that_is_killed_comes_back_and_records_go_on(up: Up, name: str) -> None:
    up.wait_health()
    sensor, now = _sensor(), time.time() - 100
    up.publish(_record(Action.CONNECT, sensor, "before", now))
    up.wait_rows([("before", "open", None)], SESSIONS, sensor=sensor)
    before = up.children()
    os.kill(before[name], signal.SIGKILL)
    line = up.wait_line(rf"^{name} +ended")
    assert "SIGKILL" in line
    assert ".log" in line
    up.wait_line(rf"^{name} +ready")
    if name == "broker":
        for _ in ("worker", "sink"):
            up.wait_line("^(worker|sink) +ready")
        now_running = up.children()
        for member in ("worker", "sink", "api"):
            assert now_running[member] != before[member], f"the {member} lived through the broker's death"
    up.wait_health()
    assert up.children()[name] != before[name]
    up.publish(_record(Action.DISCONNECT, sensor, "before", now + 3), _record(Action.CONNECT, sensor, "then", now + 4))
    up.wait_rows([("before", "closed", 3.0), ("then", "open", None)], SESSIONS, sensor=sensor)
    up.wait_rows([(3,)], EVENTS, sensor=sensor)


def test_a_clickhouse_whose_listener_was_stopped_is_started_again(up: Up) -> None:
    up.wait_health()
    folder = Path(next(word for word in up.process.args if word.startswith("--data="))[7:])  # type: ignore[union-attr]
    admin = json.loads((folder / "passwords.json").read_text())["admin"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{up.ports.clickhouse}/",
        data=b"SYSTEM STOP LISTEN QUERIES ALL",
        headers={"X-ClickHouse-User": "admin", "X-ClickHouse-Key": admin},
    )
    urllib.request.urlopen(request, timeout=10).close()
    up.wait_line("^clickhouse +silent")
    up.wait_line("^clickhouse +ready")
    up.wait_health()


def test_a_second_up_on_the_same_data_is_told_so(up: Up) -> None:
    data = next(word for word in up.process.args if word.startswith("--data="))  # type: ignore[union-attr]
    with _up(Ports(), data) as second:
        assert second.process.wait(30) == 1, second.lines
        line = second.wait_line("in use by another sojourn up")
    assert f"process {up.process.pid}" in line
    assert len(second.lines) == 1


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    for option in ("http", "kafka", "clickhouse", "native"):
        ports = Ports()
        with socket.create_server(("127.0.0.1", getattr(ports, option))), _up(ports, f"--data={tmp_path}") as second:
            assert second.process.wait(30) == 1, second.lines
            line = second.wait_line("is taken")
        assert f"127.0.0.1:{getattr(ports, option)}" in line
        assert len(second.lines) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--http=nonsense"], "HOST:PORT was expected"),
        (["--kafka=0.0.0.0:9092"], "loopback only"),
        (["--http=127.0.0.1:0"], "1 to 65535"),
        (["--ephemeral", "--data=x"], "only one of them"),
        (["--frob"], "No such option: --frob"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(options: list[str], words: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "deploy", "up", *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert words in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_servers_that_run_already_are_used_and_left_running(own_stack: Stack, tmp_path: Path) -> None:
    ports, settings = Ports(), own_stack.settings
    passwords = {
        "SOJOURN_CLICKHOUSE_WRITER_PASSWORD": settings.clickhouse.writer_password,
        "SOJOURN_CLICKHOUSE_READER_PASSWORD": settings.clickhouse.reader_password,
    }
    # What the defaults for Apache Kafka would be wrong in: this is the embedded broker, run by somebody else.
    tansu = {
        "SOJOURN_KAFKA_IDEMPOTENCE": "no",
        "SOJOURN_KAFKA_CONTIGUOUS": "yes",
        "SOJOURN_KAFKA_PARTITIONS": str(settings.kafka.partitions),
        "SOJOURN_KAFKA_SESSION_TIMEOUT": "3",
        "SOJOURN_KAFKA_HEARTBEAT_INTERVAL": "0.5",
    }
    options = (
        f"--http=127.0.0.1:{ports.http}",
        f"--kafka-bootstrap={settings.kafka.bootstrap}",
        f"--clickhouse-url={settings.clickhouse.url}",
        f"--data={tmp_path}",
        "--demo",
    )
    with Up(ports, *options, environment={**passwords, **tansu}) as up:
        up.wait_line("Ctrl-C ends it")
        assert set(up.children()) == {"worker", "sink", "api"}
        assert up.stop() == 0
    assert apply_tables(settings) == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--kafka-bootstrap=127.0.0.1:1", "Kafka at 127.0.0.1:1"),
        ("--clickhouse-url=http://127.0.0.1:1", "ClickHouse at"),
    ],
)
def test_a_server_that_does_not_answer_is_one_clear_sentence(option: str, words: str, tmp_path: Path) -> None:
    ports = Ports()
    own = [word for word in ports.options() if not word.startswith(option.split("-bootstrap")[0].split("-url")[0])]
    with Up(ports, *own, option, f"--data={tmp_path}") as up:
        line = up.wait_line(f"^sojourn: {words}")
        assert up.process.wait(30) == 1
    assert "Traceback" not in "\n".join(up.lines), line


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    with _up(Ports(), f"--data={tmp_path}") as up:
        up.wait_ready()
        children = up.children()
        os.kill(children["api"], signal.SIGSTOP)

        def asked_again() -> bool:
            up.process.send_signal(signal.SIGINT)
            return any(line.startswith("stopping: at once") for line in up.lines)

        wait_for("a later interrupt to count", asked_again, up.lines)
        assert up.process.wait(20) == 1
        wait_until_gone(list(children.values()))


def test_the_demo_shows_the_sessions_of_the_recording_and_commands_that_work(tmp_path: Path) -> None:
    with _up(Ports(), "--ephemeral", "--demo") as up:
        up.wait_line("Ctrl-C ends it")
        rows = [line.split() for line in up.lines if "127.0.0.1:" in line and " s " in line and "disconnect" in line]
        assert [int(row[-3]) for row in rows] == [5, 16, 9, 6, 3, 8, 10, 10]
        commands = [shlex.split(line) for line in up.lines if line.strip().startswith("curl ")]
        assert len(commands) == 3
        sessions, events, table = (_run_curl(words) for words in commands)
        assert json.loads(sessions)["matched"] == 8
        assert json.loads(events)["matched"] == 12
        assert "telnet" in table
        up.wait_line("^load: 2 generated records a second")
        up.wait_rows([(True,)], "SELECT count() > 0 FROM events WHERE startsWith(sensor, 'load-')")
        assert up.stop() == 0


def _run_curl(words: list[str]) -> str:
    """Does what the printed curl command does, where curl may be missing."""
    url = next(word for word in words if word.startswith("http://"))
    request = urllib.request.Request(url)
    if "-u" in words:
        credentials = base64.b64encode(words[words.index("-u") + 1].encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
    if "--data-binary" in words:
        request.data = words[words.index("--data-binary") + 1].encode()
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def test_what_the_broker_acknowledged_is_stored_before_it_ends_also_when_it_is_told_twice(tmp_path: Path) -> None:
    ports, sensor, count = Ports(), _sensor(), 20_000
    body = {"sensor": sensor, "time": time.time(), "kind": "command", "data": "x" * 100}
    items = [(None, json.dumps({**body, "data": f"{number}"}).encode(), ()) for number in range(count)]

    async def publish() -> None:
        async with Publisher(Kafka(bootstrap=f"127.0.0.1:{ports.kafka}")) as publisher:
            await asyncio.gather(*await publisher.send_batch("sensor.events", 0, items))

    with _up(ports, f"--data={tmp_path}") as first:
        first.wait_ready()
        run_aside(publish())
        # Two, as when a whole process group is told to end; two of one kind might arrive as one.
        first.process.send_signal(signal.SIGINT)
        assert first.stop() == 0, "\n".join(first.lines)
    with _up(ports, f"--data={tmp_path}") as second:
        second.wait_ready()
        second.wait_rows([(count,)], EVENTS, sensor=sensor)


def test_a_load_goes_on_beside_whatever_comes_until_it_is_stopped(tmp_path: Path) -> None:
    with _up(Ports(), f"--data={tmp_path}", "--load=50") as up:
        up.wait_ready()
        up.wait_line("^load: 50 generated records a second")
        loaded = (
            "SELECT uniqExact(session_id) > 3, countIf(kind = 'connect') > 3 FROM events WHERE sensor LIKE 'load-%'"
        )
        up.wait_rows([(1, 1)], loaded)
        # By the clock: nothing is from yesterday.
        up.wait_rows([(0,)], "SELECT countIf(abs(dateDiff('second', time, now64())) > 600) FROM events")
        [(load, first)] = _loads(up)
        # When it ends by itself it begins again, with a seed of its own: other sessions.
        os.kill(load, signal.SIGKILL)
        again: list[tuple[int, str]] = []

        def there() -> bool:
            again[:] = [(pid, command) for pid, command in _loads(up) if pid != load]
            return bool(again)

        wait_for("the load to begin again", there, up.lines)
        assert again[0][1] != first
        assert up.stop() == 0
        wait_until_gone([again[0][0]])


def _loads(up: Up) -> list[tuple[int, str]]:
    """Pid and command line of what generates a load into this Kafka."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
            continue
        if f"\0generate\0--kafka=127.0.0.1:{up.ports.kafka}\0" in command and running([int(folder.name)]):
            found.append((int(folder.name), command))
    return found
