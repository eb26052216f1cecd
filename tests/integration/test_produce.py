"""`sojourn produce` against a broker: what is published, what is not, and that a second import has the same ids."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition

from producers.kafka.history import read_history
from producers.kafka.message import Message
from producers.kafka.publisher import partition_of
from producers.produce import produce
from producers.produce_report import Report
from schemas import topics
from schemas.settings import Settings
from tests.stack import free_port

pytestmark = pytest.mark.integration

RECORDING = Path(__file__).parents[2] / "deploy" / "demo" / "cowrie-live.json"
COWRIE = topics.native_topic("cowrie")


async def messages_of(settings: Settings, sensor: str, topic: str) -> list[tuple[int, Message]]:
    """Messages whose bytes name the sensor, with their partitions, each partition in order."""
    found: list[tuple[int, Message]] = []
    starts = {TopicPartition(topic, partition): 0 for partition in range(settings.kafka.partitions)}
    async for partition, records in read_history(settings.kafka, starts):
        found += [(partition.partition, r) for r in records if r.value and sensor.encode() in r.value]
    return found


def recording_of(sensor: str) -> list[bytes]:
    return RECORDING.read_bytes().replace(b'"lab-cowrie"', json.dumps(sensor).encode()).splitlines()


def headers_of(message: Message) -> dict[str, bytes]:
    return dict(message.headers)


async def run(settings: Settings, format_name: str, *paths: Path, rate: float = 0) -> Report:
    return await asyncio.wait_for(produce(settings, format_name, [str(path) for path in paths], rate=rate), 60)


async def test_every_line_of_a_log_is_published_as_it_stands_in_its_sessions_partition(
    settings: Settings, sensor: str, tmp_path: Path
) -> None:
    lines = recording_of(sensor)
    file = tmp_path / "cowrie.json"
    file.write_bytes(b"\r\n".join(lines))
    report = await run(settings, "cowrie", file)
    assert (report.lines, report.published, report.rejected, report.exit_code) == (67, 67, 0, 0)
    assert report.bytes_read == report.bytes_total == file.stat().st_size
    published = await messages_of(settings, sensor, COWRIE)
    assert sorted(m.value or b"" for _, m in published) == sorted(lines)
    for partition, message in published:
        key = msgspec.json.encode((sensor, json.loads(message.value or b"")["session"]))
        assert message.key == key
        assert partition == partition_of(key, settings.kafka.partitions)
        assert headers_of(message)["import"] == b"1"
    for session in {json.loads(line)["session"] for line in lines}:
        wanted = [line for line in lines if session.encode() in line]
        assert [m.value for _, m in published if session.encode() in (m.value or b"")] == wanted


async def test_a_second_import_has_the_same_ids_and_equal_lines_have_their_own(
    settings: Settings, sensor: str, tmp_path: Path
) -> None:
    lines = [json.dumps({"sensor": sensor, "time": 5, "data": data}).encode() for data in ("a", "b", "a")]
    for name in ("first", "renamed"):
        (tmp_path / name).write_bytes(b"\n".join(lines))
        assert (await run(settings, "sojourn.event", tmp_path / name)).published == 3
    found = await messages_of(settings, sensor, topics.EVENTS)
    places = Counter((headers_of(m)["record_id"], m.key, m.value, partition) for partition, m in found)
    assert set(places.values()) == {2}
    assert len(places) == 3


async def test_events_and_connections_of_one_file_go_to_their_topics(
    settings: Settings, sensor: str, tmp_path: Path
) -> None:
    file = tmp_path / "records.jsonl"
    record = {"sensor": sensor, "time": "2026-11-22T10:00:00Z", "session_id": "s"}
    lines = [json.dumps({**record, **more}) for more in ({"action": "connect"}, {"kind": "command", "action": "ls"})]
    file.write_text("\n".join([lines[0], "", lines[1], ""]))
    assert (await run(settings, "sojourn", file)).lines == 2
    [(_, connection)] = await messages_of(settings, sensor, topics.CONNECTIONS_IN)
    [(_, event)] = await messages_of(settings, sensor, topics.EVENTS)
    assert [connection.value, event.value] == [line.encode() for line in lines]


async def test_what_cannot_be_decoded_or_is_too_long_is_named_by_line_and_not_published(
    settings: Settings, sensor: str, tmp_path: Path
) -> None:
    file = tmp_path / "bad.json"
    good = json.dumps({"sensor": sensor, "time": 5}).encode()
    too_long = json.dumps({"sensor": sensor, "time": 5, "data": "x" * settings.kafka.max_message_bytes}).encode()
    largest = json.dumps({"sensor": sensor, "time": 5, "data": ""}).encode()
    room = settings.kafka.max_message_bytes - len(largest)
    largest = largest.replace(b'"data": ""', b'"data": "%s"' % (b"y" * room))
    lines = [good, b"nonsense", b'{"sensor":"%s"}' % sensor.encode(), too_long, largest]
    file.write_bytes(b"\n".join(lines))
    report = await run(settings, "sojourn.event", file, tmp_path / "missing")
    assert (report.lines, report.published, report.rejected, report.exit_code) == (5, 2, 3, 1)
    assert report.reasons == {"not_json": 1, "missing_field time": 1, "too_large": 1}
    assert [(each.number, each.rejection.reason.value) for each in report.first_rejected] == [
        (2, "not_json"),
        (3, "missing_field"),
        (4, "too_large"),
    ]
    assert report.unreadable == {str(tmp_path / "missing"): "No such file or directory"}
    found = await messages_of(settings, sensor, topics.EVENTS)
    assert sorted(m.value or b"" for _, m in found) == sorted([good, largest])


async def test_a_followed_file_is_published_as_it_grows_and_a_stop_publishes_what_was_read(
    settings: Settings, sensor: str, tmp_path: Path
) -> None:
    lines = recording_of(sensor)
    file = tmp_path / "cowrie.json"
    file.write_bytes(b"\n".join(lines[:10]) + b"\n")
    stop, report = asyncio.Event(), Report(format="cowrie")

    async def until(count: int) -> None:
        for _ in range(1000):
            if report.published >= count or running.done():
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"{report.published} of {count} lines were published after 20 s")

    running = asyncio.create_task(produce(settings, "cowrie", [str(file)], follow_files=True, stop=stop, report=report))
    await until(10)
    with file.open("ab") as log:
        log.write(b"\n".join(lines[10:20]) + b"\n")
    await until(20)
    file.rename(tmp_path / "cowrie.json.1")
    file.write_bytes(b"\n".join(lines[20:]) + b"\n")
    await until(67)
    stop.set()
    assert await asyncio.wait_for(running, 20) is report
    assert (report.published, report.exit_code, report.stopped) == (67, 0, True)
    found = await messages_of(settings, sensor, COWRIE)
    assert sorted(m.value or b"" for _, m in found) == sorted(lines)


async def test_a_second_run_goes_on_where_the_first_stopped_and_its_positions_are_named(
    settings: Settings, sensor: str, tmp_path: Path
) -> None:
    lines = recording_of(sensor)
    folder = tmp_path / "logs"
    folder.mkdir()
    file = folder / "cowrie.json"
    settings = msgspec.structs.replace(settings, data=str(tmp_path))

    async def follow(count: int, **options: bool) -> Report:
        stop, report = asyncio.Event(), Report(format="cowrie")
        running = asyncio.create_task(
            produce(settings, "cowrie", [str(folder)], follow_files=True, stop=stop, report=report, **options)
        )
        for _ in range(1500):
            if report.published >= count or running.done():
                break
            await asyncio.sleep(0.02)
        stop.set()
        return await asyncio.wait_for(running, 20)

    file.write_bytes(b"\n".join(lines[:30]) + b"\n")
    first = await follow(30)
    file.rename(folder / "cowrie.json.1")
    file.write_bytes(b"\n".join(lines[30:]) + b"\n")
    second = await follow(37)
    assert (first.published, second.published, second.exit_code) == (30, 37, 0)
    assert Path(second.positions).parent == tmp_path / "produce"
    found = await messages_of(settings, sensor, COWRIE)
    assert sorted(m.value or b"" for _, m in found) == sorted(lines)
    third = await follow(67, from_start=True)
    assert third.published == 67
    again = await messages_of(settings, sensor, COWRIE)
    assert len({headers_of(m)["record_id"] for _, m in again}) == 67
    blocked = tmp_path / "in-the-way"
    blocked.touch()
    nowhere = msgspec.structs.replace(settings, data=str(blocked))
    refused = await produce(nowhere, "cowrie", [str(folder)], follow_files=True)
    assert refused.failure.startswith(f"positions cannot be kept in {blocked}/produce/cowrie-")
    assert refused.exit_code == 2


async def test_an_absent_broker_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"{}")
    address = f"127.0.0.1:{free_port()}"
    nowhere = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, bootstrap=address))
    report = await run(nowhere, "cowrie", tmp_path / "x")
    assert address in report.failure
    assert (report.published, report.exit_code) == (0, 2)


async def test_an_unknown_format_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"unknown format nagios; there are sojourn, .*cowrie"):
        await run(settings, "nagios")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly_with_the_summary(
    settings: Settings, sensor: str, tmp_path: Path, number: signal.Signals
) -> None:
    name = f"{sensor}-{number.name}"
    file = tmp_path / "cowrie.json"
    file.write_bytes(b"\n".join(recording_of(name)) + b"\n")
    positions = tmp_path / "positions.json"
    code = (
        "import sys; from producers.produce_screen import run_produce; from schemas.settings import load\n"
        "sys.exit(run_produce(load()[0], 'cowrie', [sys.argv[1]], follow_files=True, positions=sys.argv[2]))"
    )
    environ = {**os.environ, "SOJOURN_KAFKA_BOOTSTRAP": settings.kafka.bootstrap}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(file), str(positions)), env=environ, stderr=asyncio.subprocess.PIPE
    )
    for _ in range(200):
        found: Sequence[object] = await messages_of(settings, name, COWRIE)
        if len(found) == 67:
            break
        await asyncio.sleep(0.05)
    else:
        child.kill()
        pytest.fail("the lines of a followed file were not published")
    child.send_signal(number)
    _, said = await asyncio.wait_for(child.communicate(), 20)
    assert said.decode().startswith("published 67 of 67 lines")
    assert "stopped before the end" in said.decode()
    assert f"how far it was read: {positions}" in said.decode()
    assert child.returncode == 0
