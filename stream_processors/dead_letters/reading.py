"""Reading ``dead-letters``: which letters are open, counted by distinct key (hard-questions: dead letters once).

A letter is *settled* when the topic has a message with its key and without a value: somebody replayed or dropped it.
Settled is for good: a stage that repeats its letter after a crash writes the same key and opens nothing again.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from hashlib import blake2b

import msgspec
from aiokafka import TopicPartition

from producers.kafka.history import read_history
from producers.kafka.message import Message
from schemas.dead_letters import DeadLetter, Reason, Stage
from schemas.settings import Kafka
from schemas.topics import DEAD_LETTERS

#: Distinct letters that one look remembers; about 100 bytes each, twice that while they are given out.
MOST_LETTERS = 1_000_000

_PARTITION = TopicPartition(DEAD_LETTERS, 0)


class TooManyLettersError(RuntimeError):
    """More distinct letters than one look remembers; the text says where to begin instead."""


class Wanted(msgspec.Struct, frozen=True):
    """Which letters are meant; None is every one. ``start`` is an offset of ``dead-letters``."""

    reason: Reason | None = None
    stage: Stage | None = None
    start: int = 0

    def has(self, reason: Reason, stage: Stage) -> bool:
        return self.reason in (None, reason) and self.stage in (None, stage)


class _Head(msgspec.Struct):
    """What decides whether a letter is wanted; the bytes of the record are skipped."""

    reason: Reason
    stage: Stage


_decode_head = msgspec.json.Decoder(_Head).decode
_decode = msgspec.json.Decoder(DeadLetter).decode


class Census:
    """Counts letters by distinct key; keeps a digest of each key, never a letter."""

    def __init__(self, wanted: Wanted, most: int = MOST_LETTERS) -> None:
        self.wanted = wanted
        #: Messages that are no dead letter: somebody else wrote them.
        self.foreign = 0
        self._most = most
        self._seen: set[bytes] = set()
        self._settled: set[bytes] = set()

    def add(self, messages: Sequence[Message]) -> None:
        """Count some messages of the topic. Raises TooManyLettersError."""
        for message in messages:
            if message.key is None:
                self.foreign += 1
                continue
            if message.value is None:
                self._settled.add(_digest(message.key))
            elif (head := _head_of(message.value)) is None:
                self.foreign += 1
            elif self.wanted.has(head.reason, head.stage):
                self._seen.add(_digest(message.key))
            if len(self._seen) + len(self._settled) > self._most:
                raise TooManyLettersError(
                    f"{DEAD_LETTERS} has more than {self._most} letters up to offset {message.offset}; "
                    f"--from {message.offset} looks only at what came after"
                )

    @property
    def open(self) -> int:
        return len(self._seen) - self.settled

    @property
    def settled(self) -> int:
        return sum(key in self._settled for key in self._seen)

    def is_settled(self, key: bytes) -> bool:
        return _digest(key) in self._settled


async def census(kafka: Kafka, wanted: Wanted) -> Census:
    """Counts everything that ``dead-letters`` holds now. Raises KafkaError, TimeoutError, TooManyLettersError."""
    counted = Census(wanted)
    async with aclosing(read_history(kafka, {_PARTITION: wanted.start})) as history:
        async for _, messages in history:
            counted.add(messages)
    return counted


async def open_letters(kafka: Kafka, counted: Census) -> AsyncGenerator[tuple[bytes, DeadLetter], None]:
    """Key and letter of everything wanted that was not settled at the census, oldest first, each key once."""
    wanted = counted.wanted
    given: set[bytes] = set()
    async with aclosing(read_history(kafka, {_PARTITION: wanted.start})) as history:
        async for _, messages in history:
            for message in messages:
                key, value = message.key, message.value
                if key is None or value is None or counted.is_settled(key) or (digest := _digest(key)) in given:
                    continue
                letter = letter_of(value)
                if letter is not None and wanted.has(letter.reason, letter.stage):
                    given.add(digest)
                    yield key, letter


class Found(msgspec.Struct, frozen=True):
    """A letter that was asked for by key; ``settlement`` is what was done with it, empty while it is open."""

    key: str
    letter: DeadLetter
    settlement: str = ""


async def find_letters(kafka: Kafka, name: str) -> list[Found]:
    """Letters with this key, or with it behind their epoch: then there may be one for each life of the topic.

    Raises KafkaError, TimeoutError.
    """
    found: dict[str, Found] = {}
    settlements: dict[str, str] = {}
    async with aclosing(read_history(kafka, {_PARTITION: 0})) as history:
        async for _, messages in history:
            for message in messages:
                key = (message.key or b"").decode(errors="replace")
                if key != name and key.partition("/")[2] != name:
                    continue
                if message.value is None:
                    settlements.setdefault(key, settlement_of(message))
                elif key not in found and (letter := letter_of(message.value)) is not None:
                    found[key] = Found(key, letter)
    return [msgspec.structs.replace(one, settlement=settlements.get(one.key, "")) for one in found.values()]


SETTLEMENT_HEADER = "settlement"


def settlement_of(message: Message) -> str:
    """What the mark says was done with the letter."""
    return next((value.decode() for name, value in message.headers if name == SETTLEMENT_HEADER), "settled")


def letter_of(value: bytes) -> DeadLetter | None:
    """None for a message that is no dead letter."""
    try:
        return _decode(value)
    except msgspec.DecodeError:
        return None


def _head_of(value: bytes) -> _Head | None:
    try:
        return _decode_head(value)
    except msgspec.DecodeError:
        return None


def _digest(key: bytes) -> bytes:
    return blake2b(key, digest_size=16).digest()
