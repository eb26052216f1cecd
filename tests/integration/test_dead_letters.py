"""``sojourn dead-letters`` beside a running worker and sink."""

import asyncio
import os
import sys
from typing import Any

import msgspec
import pytest

from producers.kafka.publisher import Publisher
from schemas.dead_letters import DeadLetter, Reason, Stage
from schemas.settings import Settings
from schemas.topics import CONNECTIONS_IN, DEAD_LETTERS, EVENTS
from tests.integration.sinks import event_message, numbers_of, running_sink, store, until, until_stored
from tests.stack import Stack
from tests.workers import Workers, messages, workers_of

pytestmark = pytest.mark.integration

PLACE = "topic-of-before/sensor.events/0/123456"


async def dead_letters(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """The command as somebody types it: exit code, output, errors."""
    variables = {
        "SOJOURN_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
        "SOJOURN_KAFKA_EMBEDDED": str(settings.kafka.embedded).lower(),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "deploy", "dead-letters", *arguments),
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), errors.decode()


async def listed(settings: Settings, *arguments: str) -> list[dict[str, Any]]:
    code, out, errors = await dead_letters(settings, "list", "--json", *arguments)
    assert (code, errors) == (0, "")
    return [msgspec.json.decode(line) for line in out.splitlines()]


def letter_by_hand(sensor: str, number: int) -> DeadLetter:
    """What an older version could not decode and this one can."""
    epoch, topic, partition, offset = PLACE.split("/")
    return DeadLetter(
        stage=Stage.ROUTE,
        reason=Reason.BAD_VALUE,
        field="kind",
        topic=topic,
        partition=int(partition),
        offset=int(offset),
        epoch=epoch,
        key=sensor.encode(),
        value=event_message(sensor, number),
        headers=[("origin", b"\x00\xff")],
    )


async def publish(settings: Settings, topic: str, key: bytes, value: bytes, partition: int | None = None) -> None:
    async with Publisher(settings.kafka) as publisher:
        await (await publisher.send(topic, key, value, partition=partition))


async def publish_letter(settings: Settings, letter: DeadLetter) -> None:
    await publish(settings, DEAD_LETTERS, letter.message_key(), msgspec.json.encode(letter), partition=0)


async def letters_with(settings: Settings, value: bytes) -> list[DeadLetter]:
    found = [
        msgspec.json.decode(message.value, type=DeadLetter)
        for message in await messages(settings, DEAD_LETTERS)
        if message.value is not None
    ]
    return [letter for letter in found if letter.value == value]


async def poison(settings: Settings, workers: Workers, sensor: str) -> DeadLetter:
    """The letter that a running worker writes about a record that nobody can decode."""
    value = f"{{broken {sensor}".encode()
    await publish(settings, CONNECTIONS_IN, b"k", value)

    async def there() -> bool:
        return bool(await letters_with(settings, value))

    await until(f"a dead letter\n{workers.logs()}", there, 60)
    (letter,) = await letters_with(settings, value)
    return letter


@pytest.mark.slow
# Servers of its own: a worker on the shared ones would handle what every other test published there.
async def test_poison_is_listed_once_and_what_decodes_now_is_stored_once(own_stack: Stack, sensor: str) -> None:
    settings = own_stack.settings
    with workers_of(settings) as workers:
        workers.start()
        async with running_sink(settings), store(settings) as client:
            bad = await poison(settings, workers, sensor)
            # As the worker does that dies between writing a letter and committing.
            await publish_letter(settings, bad)
            (line,) = await listed(settings)
            assert line["key"] == bad.message_key().decode()
            assert (line["stage"], line["reason"]) == ("route", "not_json")
            assert (line["topic"], line["offset"]) == (CONNECTIONS_IN, bad.offset)

            code, out, errors = await dead_letters(settings, "replay")
            assert (code, out) == (1, "0 replayed, 0 dropped, 0 put back\n")
            assert "still refused" in errors

            await publish_letter(settings, letter_by_hand(sensor, 1))
            assert len(await listed(settings)) == 2
            code, out, errors = await dead_letters(settings, "replay", "--on-error", "put-back")
            assert (code, out) == (0, "1 replayed, 0 dropped, 1 put back\n")
            await until_stored(client, sensor, [1], 60)

            code, out, _ = await dead_letters(settings, "replay", "--on-error", "put-back")
            assert (code, out) == (0, "0 replayed, 0 dropped, 1 put back\n")
            # Behind everything that a second replay could have published.
            await publish(settings, EVENTS, sensor.encode(), event_message(sensor, 2), partition=0)
            await until_stored(client, sensor, [1, 2], 60)
            assert await numbers_of(client, sensor) == [1, 2]
            ids = await client.query(
                "SELECT record_id FROM events WHERE sensor = {sensor:String} AND data = '1'",
                parameters={"sensor": sensor},
            )
            assert ids.result_rows == [(f"{PLACE}/0",)]
            assert len(await letters_with(settings, bad.value or b"")) == 2, "poison was not published again"


async def test_dropping_and_dry_runs_and_showing(settings: Settings, sensor: str) -> None:
    hole = DeadLetter(
        stage=Stage.ROUTE,
        reason=Reason.HOLE,
        expected="offsets 5 to 6",
        topic=EVENTS,
        partition=0,
        offset=5,
        epoch=sensor,
    )
    cut = msgspec.structs.replace(hole, reason=Reason.TOO_LARGE, offset=7, value=b"\xff\x00", cut=True)
    start = str(len(await messages(settings, DEAD_LETTERS)))
    for letter in (hole, cut):
        await publish_letter(settings, letter)
    assert [line["cut"] for line in await listed(settings, "--from", start)] == [False, True]
    code, out, _ = await dead_letters(settings, "list", "--from", start, "--limit", "1")
    assert code == 0
    assert "sensor.events/0/7/route" in out and "too_large" in out
    assert out.endswith("2 open, 0 replayed or dropped; the newest 1 are shown\n")

    replay = ("replay", "--from", start, "--on-error", "drop")
    code, out, errors = await dead_letters(settings, *replay, "--dry-run")
    assert (code, out) == (0, "would be: 0 replayed, 2 dropped, 0 put back\n")
    assert "a hole has no bytes" in errors and "only the beginning" in errors
    assert len(await listed(settings, "--from", start)) == 2

    code, out, _ = await dead_letters(settings, *replay, "--limit", "1")
    assert (code, out) == (0, "0 replayed, 1 dropped, 0 put back\n")
    assert [line["reason"] for line in await listed(settings, "--from", start)] == ["too_large"]
    code, out, _ = await dead_letters(settings, "show", cut.message_key().decode())
    assert code == 0
    assert "state     open" in out and "ff 00" in out
    code, out, _ = await dead_letters(settings, "show", hole.message_key().decode())
    assert "state     dropped" in out
    code, _, errors = await dead_letters(settings, "show", "nothing/0/1/route")
    assert (code, errors.startswith("sojourn: no letter has the key")) == (1, True)


async def test_on_apache_kafka_a_letter_is_replayed_once_to_its_partition(kafka_stack: Stack, sensor: str) -> None:
    settings = kafka_stack.settings
    letter = msgspec.structs.replace(letter_by_hand(sensor, 1), epoch=sensor, partition=7)
    start = str(len(await messages(settings, DEAD_LETTERS)))
    await publish_letter(settings, letter)
    for expected in ("1 replayed, 0 dropped, 0 put back\n", "0 replayed, 0 dropped, 0 put back\n"):
        code, out, errors = await dead_letters(settings, "replay", "--from", start)
        assert (code, out, errors) == (0, expected, "")
    (again,) = [message for message in await messages(settings, EVENTS) if message.value == letter.value]
    assert (again.key, again.headers[0]) == (letter.key, ("origin", b"\x00\xff"))
