"""Fudo's writes through the whole pipeline: changed sessions read as they were written, marked ones are exported."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from deploy.addresses import Address
from producers.kafka.publisher import Publisher
from schemas.dead_letters import DeadLetter, Stage
from schemas.settings import Backup, Settings
from schemas.topics import BACKUPS, CONNECTIONS_IN, DEAD_LETTERS
from tests.conformance.conftest import Apis
from tests.conformance.fudo import Fudo, started
from tests.conformance.store import Store
from tests.processes import Processes, processes_of
from tests.s3.server import BUCKET, KEY, SECRET, S3Server, s3_server
from tests.stack import free_port
from tests.workers import messages, until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def s3_address() -> Address:
    return Address("127.0.0.1", free_port())


@pytest.fixture(scope="module")
def s3(s3_address: Address) -> Iterator[S3Server]:
    with s3_server(s3_address) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backups")


@pytest.fixture(scope="module")
def pipeline(stack: Any, s3_address: Address, folder: Path) -> Iterator[tuple[Settings, Processes]]:
    """Worker, sink and exports on the shared stack, with three targets of which one cannot be written."""
    (folder / "in the way").write_text("a file, no folder")
    targets = {
        "Backup_Target_Name": str(folder / "target"),
        "12345617890123456789": f"http://{s3_address}/{BUCKET}/sessions",
        "broken": str(folder / "in the way"),
    }
    backup = Backup(targets=targets, s3_key=KEY, s3_secret=SECRET)
    settings = msgspec.structs.replace(stack.settings, backup=backup)
    with processes_of(settings) as processes:
        for command in ("process", "sink", "backup"):
            processes.start(command)
        yield settings, processes


@pytest.fixture
async def fudo(pipeline: tuple[Settings, Processes], apis: Apis) -> AsyncIterator[Fudo]:
    settings, _ = pipeline
    yield await started(apis, settings)


@pytest.fixture
async def sensors(pipeline: tuple[Settings, Processes]) -> AsyncIterator["Sensors"]:
    settings, _ = pipeline
    async with Publisher(settings.kafka) as publisher:
        yield Sensors(publisher)


class Sensors:
    """Publishes what sensors do."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def say(self, action: str, sensor: str, session_id: str = "", **fields: Any) -> None:
        record = {"action": action, "sensor": sensor, "session_id": session_id, "time": time.time(), **fields}
        key = msgspec.json.encode((sensor, session_id) if session_id else (fields["mac"],))
        await (await self._publisher.send(CONNECTIONS_IN, key, msgspec.json.encode(record)))


async def shown(fudo: Fudo, path: str, condition: Any, logs: Any, query: str = "") -> dict[str, Any]:
    """The session once the condition holds for it."""
    found: dict[str, Any] = {}

    async def holds() -> bool:
        async with fudo.api.http.get(f"{fudo.api.base}/api/v2{path}{query}") as answer:
            if answer.status == 200:
                found.clear()
                found.update((await answer.json())["session"])
                return bool(condition(found))
            return False

    await until(holds, 60, lambda: f"{path}: {found}\n{logs()}")
    return found


async def test_a_change_is_read_as_soon_as_it_is_answered(
    fudo: Fudo, sensors: Sensors, pipeline: tuple[Settings, Processes], sensor: str
) -> None:
    _, processes = pipeline
    path = f"/session/{sensor}-1"
    await sensors.say("connect", sensor, f"{sensor}-1", protocol="ssh", client_ip="10.0.0.1", client_port=5)
    await shown(fudo, path, lambda one: True, processes.logs)

    changes: dict[str, Any] = {
        "paused": True,
        "retention_locked": True,
        "terminate_at": "2030-01-01 01:00:00.5+01",
        "reason": "maintenance",
        "status": "terminated",
        "dump_mode": "noraw",
        "login_reason": "ticket 5",
        "pending_delete": True,
    }
    answer = await fudo.ask("PATCH", f"{path}?fields={','.join(changes)}", changes)
    written = {**changes, "terminate_at": "2030-01-01 00:00:00.5+00"}
    assert answer == {"result": "success", "session": written}
    assert await fudo.ids(sensor, "blocked,status.eq(terminated),terminate_at.gt(2029-12-31)") == [f"{sensor}-1"]

    # One field of its own changes nothing else, whatever is written at the same time.
    await asyncio.gather(*(fudo.ask("PATCH", path, {name: None}) for name in ("reason", "status", "terminate_at")))
    left = (await fudo.get(path))["session"]
    assert (left["status"], left["paused"], left["dump_mode"]) == ("approved", True, "noraw")
    assert "reason" not in left and "terminate_at" not in left

    # What the sensor says afterwards keeps it.
    await sensors.say("disconnect", sensor, f"{sensor}-1")
    closed = await shown(fudo, path, lambda one: "finished_at" in one, processes.logs)
    assert (closed["paused"], closed["login_reason"]) == (True, "ticket 5")

    assert "unlock it first" in await fudo.refused(path, "PATCH", {"removed": True})
    answer = await fudo.ask("PATCH", f"{path}?fields=id,removed", {"retention_locked": False, "removed": True})
    assert answer["session"] == {"id": f"{sensor}-1", "removed": True}
    assert await fudo.refused(path, status=404) == "Object not found"
    assert (await fudo.get(f"{path}?reveal=removed"))["session"]["removed"] is True
    assert await fudo.refused(path, "PATCH", {"paused": True}, 404) == "Object not found"


async def test_a_device_without_ids_of_its_own_is_changed_too(
    fudo: Fudo, sensors: Sensors, pipeline: tuple[Settings, Processes], sensor: str
) -> None:
    _, processes = pipeline
    mac = f"02:{':'.join(hashlib.sha256(sensor.encode()).hexdigest()[n : n + 2] for n in range(0, 10, 2))}"
    await sensors.say("connect", sensor, mac=mac, kind="Connected")
    await until(lambda: fudo.ids(sensor), 60, processes.logs)
    (name,) = await fudo.ids(sensor)
    answer = await fudo.ask("PATCH", f"/session/{name}?fields=reason", {"reason": "known"})
    assert answer["session"] == {"reason": "known"}
    await fudo.ask("PATCH", f"/session/{name}", {"removed": True})
    assert await fudo.ids(sensor) == []


async def test_marked_sessions_are_exported_with_their_events(
    fudo: Fudo,
    sensors: Sensors,
    store: Store,
    pipeline: tuple[Settings, Processes],
    folder: Path,
    sensor: str,
) -> None:
    _, processes = pipeline
    ids = [f"{sensor}/1", f"{sensor}/2"]
    for name in ids:
        await sensors.say("connect", sensor, name, protocol="ssh", client_ip="10.0.0.1")
        await sensors.say("disconnect", sensor, name)
    await until(lambda: _both(fudo, sensor), 60, processes.logs)

    # The document's example: by name, several sessions.
    answer = await fudo.ask("POST", "/session_backup", {"backup_name": "Backup_Target_Name", "session_ids": ids}, 201)
    assert answer == {"result": "success", "session_ids": ids}

    for name in ids:
        await backed_up(fudo, name, "Backup_Target_Name", "done", processes)
        made = folder / "target" / sensor / name.replace("/", "%2F")
        body = msgspec.json.decode((made / "session.json").read_bytes())
        assert (body["session_id"], body["state"], body["client_ip"]) == (name, "closed", "10.0.0.1")
        kinds = [msgspec.json.decode(line)["kind"] for line in (made / "events.jsonl").read_bytes().splitlines()]
        assert kinds[:2] == ["connect", "close"]
        for file in ("events.parquet", "session.parquet"):
            assert (made / file).read_bytes()[:4] == (made / file).read_bytes()[-4:] == b"PAR1"


async def test_a_session_is_exported_to_s3(
    fudo: Fudo, sensors: Sensors, pipeline: tuple[Settings, Processes], s3: S3Server, sensor: str
) -> None:
    _, processes = pipeline
    name = f"{sensor}/1"
    await sensors.say("connect", sensor, name, protocol="ssh", client_ip="10.0.0.1")
    await sensors.say("disconnect", sensor, name)
    await shown(fudo, f"/session/{name.replace('/', '%2F')}", lambda one: "finished_at" in one, processes.logs)
    # By path, and by the target's id.
    path = f"/session/{name.replace('/', '%2F')}/backup/12345617890123456789"
    answer = await fudo.ask("POST", path, None, 201)
    assert answer == {"result": "success", "session_ids": [name]}
    mark = await backed_up(fudo, name, "12345617890123456789", "done", processes)
    assert mark["events"] >= 2
    objects = {key.removeprefix("sessions/"): content for key, content in s3.objects().items()}
    assert set(mark["files"]) == {file for file in objects if file.startswith(f"{sensor}/")}
    body = msgspec.json.decode(objects[f"{sensor}/{name.replace('/', '%2F')}/session.json"])
    assert (body["session_id"], body["state"], body["client_ip"]) == (name, "closed", "10.0.0.1")


async def test_a_target_that_cannot_be_written_is_said_to_have_failed(
    fudo: Fudo, sensors: Sensors, pipeline: tuple[Settings, Processes], sensor: str
) -> None:
    _, processes = pipeline
    name = f"{sensor}-1"
    await sensors.say("connect", sensor, name)
    await shown(fudo, f"/session/{name}", lambda one: True, processes.logs)
    await fudo.ask("POST", "/session_backup", {"backup_id": "broken", "session_id": name}, 201)
    assert "Not a directory" in (await backed_up(fudo, name, "broken", "failed", processes))["message"]


async def test_what_was_asked_for_is_exported_whatever_dies_and_again_when_an_open_session_has_ended(
    fudo: Fudo, sensors: Sensors, pipeline: tuple[Settings, Processes], folder: Path, sensor: str
) -> None:
    _, processes = pipeline
    name = f"{sensor}-1"
    await sensors.say("connect", sensor, name)
    await shown(fudo, f"/session/{name}", lambda one: True, processes.logs)
    for running in processes.alive("backup"):
        running.kill()
    # Nobody exports: the request is acknowledged, and stays.
    answer = await fudo.ask("POST", f"/session/{name}/backup/Backup_Target_Name", None, 202)
    assert answer == {"result": "success", "session_ids": [name], "pending": True}
    processes.start("backup")
    await backed_up(fudo, name, "Backup_Target_Name", "partial", processes)
    body = folder / "target" / sensor / name / "session.json"
    assert msgspec.json.decode(body.read_bytes())["state"] == "open"

    for running in processes.alive("backup"):
        running.kill()
    await sensors.say("disconnect", sensor, name)
    await shown(fudo, f"/session/{name}", lambda one: "finished_at" in one, processes.logs)
    processes.start("backup")
    await backed_up(fudo, name, "Backup_Target_Name", "done", processes)
    assert msgspec.json.decode(body.read_bytes())["state"] == "closed"


async def test_a_request_that_cannot_be_read_is_a_dead_letter_and_stops_nothing(
    pipeline: tuple[Settings, Processes], sensor: str
) -> None:
    settings, processes = pipeline
    async with Publisher(settings.kafka) as publisher:
        await (await publisher.send(BACKUPS, sensor.encode(), b'{"target": 5}'))

    async def is_letter() -> bool:
        letters = [message.value for message in await messages(settings, DEAD_LETTERS) if message.value]
        found = [msgspec.json.decode(value, type=DeadLetter) for value in letters]
        return any(letter.key == sensor.encode() and letter.stage is Stage.BACKUP for letter in found)

    await until(is_letter, 60, processes.logs)


async def backed_up(fudo: Fudo, name: str, target: str, state: str, processes: Processes) -> dict[str, Any]:
    """The mark of this backup once it is in that state."""

    def has_state(session: dict[str, Any]) -> bool:
        return (target, state) in [(one["target"], one["state"]) for one in session["backups"]]

    found = await shown(fudo, f"/session/{quote(name, safe='')}", has_state, processes.logs, "?fields=backups")
    return next(one for one in found["backups"] if one["target"] == target)


async def _both(fudo: Fudo, sensor: str) -> bool:
    return len(await fudo.ids(sensor, "finished_at.ge(2000-01-01)")) == 2
