"""Publishing the original bytes of dead letters once more, to the topic they came from.

Every letter is looked at with the decoders of this version first: what they still refuse is not published, it would
only come back as another letter. The letter is marked as replayed after Kafka acknowledged the record; a replay that
is killed between the two publishes that one record again the next time.
"""

from collections.abc import AsyncIterator, Callable, Collection
from enum import StrEnum

import msgspec

from producers.formats import DECODERS, Rejection
from producers.kafka.publisher import Headers, Publisher, partition_of
from schemas.dead_letters import DeadLetter, Reason, Stage
from schemas.records import Connection
from schemas.topics import CONNECTIONS, DEAD_LETTERS, format_of
from stream_processors.dead_letters.reading import SETTLEMENT_HEADER
from stream_processors.route import RECORD_ID_HEADER

_decode_connection = msgspec.json.Decoder(Connection).decode


class OnError(StrEnum):
    """What is done with a letter that cannot be replayed."""

    STOP = "stop"
    PUT_BACK = "put-back"
    DROP = "drop"


class Settlement(StrEnum):
    """What the mark of a settled letter says."""

    REPLAYED = "replayed"
    DROPPED = "dropped"


class Verdict(msgspec.Struct, frozen=True):
    """Whether a letter can be replayed: ``obstacle`` is empty then, and ``headers`` are those to publish."""

    obstacle: str = ""
    headers: Headers = ()


def judge(letter: DeadLetter) -> Verdict:
    """Pure: what this version of the decoders makes of the letter's bytes."""
    if letter.reason is Reason.HOLE:
        return Verdict("a hole has no bytes: the broker never delivered them")
    if letter.cut:
        return Verdict("only the beginning of the value was kept")
    if letter.value is None:
        return Verdict("the record has no value")
    if letter.stage is Stage.SINK:
        # Route has passed the record: as another record its session would count it a second time.
        return Verdict("the worker has used this record already, only the store refused it")
    if letter.stage is Stage.SESSIONIZE:
        return _judge_connection(letter, letter.value)
    decoder = DECODERS.get(format_of(letter.topic) or "")
    if decoder is None:
        return Verdict(f"{letter.topic} is no topic that sensors write")
    decoded = decoder(letter.value)
    if isinstance(decoded, Rejection):
        return Verdict(f"still refused, {decoded}")
    if any(name == RECORD_ID_HEADER for name, _ in letter.headers) or any(one.event.record_id for one in decoded):
        return Verdict(headers=letter.headers)
    # The ids that its records would have had at their first place in the log (producers.formats.position).
    place = f"{letter.epoch}/{letter.topic}/{letter.partition}/{letter.offset}"
    return Verdict(headers=[*letter.headers, (RECORD_ID_HEADER, place.encode())])


def _judge_connection(letter: DeadLetter, value: bytes) -> Verdict:
    if letter.topic != CONNECTIONS or letter.key is None:
        return Verdict(f"no message with a key on {CONNECTIONS}")
    try:
        _decode_connection(value)
    except msgspec.DecodeError as error:
        return Verdict(f"still refused, {error}")
    return Verdict(headers=letter.headers)


class Tally(msgspec.Struct):
    """What a replay did, in letters; ``stopped`` when it ended at one that could not be replayed."""

    replayed: int = 0
    dropped: int = 0
    put_back: int = 0
    stopped: bool = False


async def replay(
    publisher: Publisher | None,
    topics: Collection[str],
    letters: AsyncIterator[tuple[bytes, DeadLetter]],
    on_error: OnError,
    limit: int,
    say: Callable[[bytes, str], None],
) -> Tally:
    """Publish letters one after the other until ``limit`` are settled. Raises KafkaError; what was done is marked.

    Without a publisher nothing is published or marked: a dry run. ``topics`` are those that the broker has.
    ``say`` gets one line for each letter that cannot be replayed, with its key.
    """
    tally = Tally()
    async for key, letter in letters:
        verdict = judge(letter)
        obstacle = verdict.obstacle or ("" if letter.topic in topics else f"there is no topic {letter.topic}")
        if not obstacle:
            if publisher is not None:
                await _publish(publisher, letter, verdict.headers)
                await _mark(publisher, key, Settlement.REPLAYED)
            tally.replayed += 1
        else:
            say(key, obstacle)
            if on_error is OnError.STOP:
                tally.stopped = True
                break
            if on_error is OnError.PUT_BACK:
                tally.put_back += 1
                continue
            if publisher is not None:
                await _mark(publisher, key, Settlement.DROPPED)
            tally.dropped += 1
        if tally.replayed + tally.dropped >= limit:
            break
    return tally


async def _publish(publisher: Publisher, letter: DeadLetter, headers: Headers) -> None:
    """To the partition it came from; the order of its key holds there. With the time of now: an old one might be
    deleted at once by the topic's retention."""
    partitions = await publisher.partitions_of(letter.topic)
    partition: int | None = letter.partition
    if letter.partition >= partitions:
        partition = None if letter.key is None else partition_of(letter.key, partitions)
    await (await publisher.send(letter.topic, letter.key, letter.value, headers, partition=partition))


async def _mark(publisher: Publisher, key: bytes, settlement: Settlement) -> None:
    headers = [(SETTLEMENT_HEADER, settlement.value.encode())]
    await (await publisher.send(DEAD_LETTERS, key, None, headers, partition=0))
