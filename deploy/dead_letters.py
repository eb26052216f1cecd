"""``sojourn dead-letters``: what the commands do between the command line and the topic."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from aiokafka.errors import KafkaError

from deploy.dead_letters_print import letters_as_json, letters_as_table, whole_letter
from deploy.servers import kafka_sentence
from producers.kafka.epochs import read_epochs
from producers.kafka.publisher import Publisher
from schemas.dead_letters import DeadLetter
from schemas.settings import Kafka, Settings
from schemas.topics import DEAD_LETTERS
from stream_processors.dead_letters.reading import (
    Found,
    TooManyLettersError,
    Wanted,
    census,
    find_letters,
    open_letters,
)
from stream_processors.dead_letters.replaying import OnError, Tally, replay

T = TypeVar("T")


class DeadLettersError(RuntimeError):
    """The command cannot be done; the text is one sentence."""


class Listed(msgspec.Struct, frozen=True):
    """One line of the list: a letter without the bytes of its record."""

    key: str
    letter: DeadLetter
    bytes: int


def list_letters(settings: Settings, wanted: Wanted, limit: int, as_json: bool) -> None:
    """Print the newest ``limit`` open letters, oldest first, and how many there are. Raises DeadLettersError."""
    listed, summary = _run(settings, _list(settings.kafka, wanted, limit))
    if as_json:
        letters_as_json([(one.key, one.letter, one.bytes) for one in listed])
    else:
        letters_as_table([(one.key, one.letter) for one in listed], summary)


async def _list(kafka: Kafka, wanted: Wanted, limit: int) -> tuple[list[Listed], str]:
    await _topics(kafka)
    counted = await census(kafka, wanted)
    newest: deque[Listed] = deque(maxlen=limit)
    if counted.open:
        async with aclosing(open_letters(kafka, counted)) as letters:
            async for key, letter in letters:
                size = len(letter.value or b"")
                slim = msgspec.structs.replace(letter, value=None, headers=[])
                newest.append(Listed(key.decode(errors="replace"), slim, size))
    shown = f"; the newest {len(newest)} are shown" if len(newest) < counted.open else ""
    foreign = f", {counted.foreign} messages that are no dead letters" if counted.foreign else ""
    return list(newest), f"{counted.open} open, {counted.settled} replayed or dropped{foreign}{shown}"


def show_letter(settings: Settings, key: str, as_json: bool) -> None:
    """Print one letter with its bytes. Raises DeadLettersError when there is none, or several of that short key."""
    found = _run(settings, _find(settings.kafka, key))
    if not found:
        raise DeadLettersError(f"no letter has the key {key}; `sojourn dead-letters list` shows them")
    if len(found) > 1:
        raise DeadLettersError(f"{key} is in {len(found)} lives of its topic: {', '.join(one.key for one in found)}")
    whole_letter(found[0], as_json)


async def _find(kafka: Kafka, key: str) -> list[Found]:
    await _topics(kafka)
    return await find_letters(kafka, key)


def replay_letters(
    settings: Settings,
    wanted: Wanted,
    on_error: OnError,
    limit: int,
    dry_run: bool,
    say: Callable[[str], None],
) -> Tally:
    """Replay open letters, oldest first. Raises DeadLettersError."""
    return _run(settings, _replay(settings.kafka, wanted, on_error, limit, dry_run, say))


async def _replay(
    kafka: Kafka, wanted: Wanted, on_error: OnError, limit: int, dry_run: bool, say: Callable[[str], None]
) -> Tally:
    topics = await _topics(kafka)
    counted = await census(kafka, wanted)
    if not counted.open:
        return Tally()

    def obstacle(key: bytes, why: str) -> None:
        say(f"{key.decode(errors='replace')}: cannot be replayed: {why}")

    async with aclosing(open_letters(kafka, counted)) as letters:
        if dry_run:
            return await replay(None, topics, letters, on_error, limit, obstacle)
        # One record at a time waits for its acknowledgement: lingering would only make each of them slower.
        async with Publisher(kafka, client="sojourn-replay", linger_ms=0) as publisher:
            return await replay(publisher, topics, letters, on_error, limit, obstacle)


async def _topics(kafka: Kafka) -> set[str]:
    """Topics that are there; asking for one that is not would make it."""
    topics = set(await read_epochs(kafka))
    if DEAD_LETTERS not in topics:
        raise DeadLettersError(
            f"Kafka at {kafka.bootstrap} has no topic {DEAD_LETTERS}; `sojourn schema apply` makes it"
        )
    return topics


def _run(settings: Settings, work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (KafkaError, TimeoutError) as error:
        raise DeadLettersError(kafka_sentence(error, settings.kafka)) from error
    except TooManyLettersError as error:
        raise DeadLettersError(str(error)) from error
