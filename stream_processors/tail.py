"""The tail of ``sessions``: versions that are published, and that the sink may not have stored yet.

It is as long as the sink is behind: after an hour without ClickHouse, an hour of sessions. Whoever wants a few of them
keeps only these.
"""

from collections.abc import Callable, Mapping

import msgspec
from aiokafka import TopicPartition

from producers.kafka.history import read_history
from schemas.records import Session
from schemas.settings import Kafka

#: (sensor, session id) → latest version.
Tail = dict[tuple[str, str], Session]


class Named(msgspec.Struct, gc=False):
    """What of a version says whether it is wanted; a third of the work of reading all of it."""

    sensor: str
    session_id: str
    key: str
    mac: str = ""


_decode = msgspec.json.Decoder(Session).decode
_decode_name = msgspec.json.Decoder(Named).decode


async def read_tails(
    kafka: Kafka, starts: Mapping[TopicPartition, int], is_wanted: Callable[[Named], bool] | None = None
) -> dict[int, Tail]:
    """Per partition of ``starts`` the sessions from that offset on, in their latest version; all, or the wanted ones.

    Raises KafkaError and TimeoutError as ``read_history``.
    """
    tails: dict[int, Tail] = {place.partition: {} for place in starts}
    async for place, records in read_history(kafka, starts):
        tail = tails[place.partition]
        for record in records:
            value = record.value
            if value is None or (is_wanted is not None and not is_wanted(_decode_name(value))):
                continue
            session = _decode(value)
            name = (session.sensor, session.session_id)
            known = tail.get(name)
            if known is None or known.revision <= session.revision:
                tail[name] = session
    return tails
