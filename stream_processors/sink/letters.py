"""Dead letters of the sink: published and acknowledged before the offset behind them is committed."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog
from aiokafka.errors import KafkaError

from producers.kafka.publisher import Publisher
from schemas.dead_letters import DeadLetter
from schemas.topics import DEAD_LETTERS
from stream_processors.backoff import Backoff

log = structlog.get_logger()

_encode = msgspec.json.Encoder().encode


async def publish_letters(publisher: Publisher, letters: Sequence[DeadLetter]) -> None:
    """Returns when Kafka has acknowledged all of them; tries without end, cancelled when the partition is lost.

    A repeated letter is no second one: readers count distinct keys.
    """
    backoff = Backoff()
    while letters:
        try:
            futures = [
                await publisher.send(DEAD_LETTERS, letter.message_key(), _encode(letter), partition=0)
                for letter in letters
            ]
            await asyncio.gather(*futures)
        except KafkaError as error:
            log.warning("dead letters were not taken, trying again", count=len(letters), error=repr(error))
            await backoff.sleep()
        else:
            return
