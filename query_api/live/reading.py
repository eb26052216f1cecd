"""From messages of Kafka to records as readers see them: the same ones that the sink stores."""

from collections.abc import Sequence

import msgspec
import structlog

from producers.formats import DECODERS, Rejection, Source, decode
from producers.kafka.message import Message
from query_api.live.items import Item, View
from schemas.records import Session
from schemas.topics import SESSIONS, format_of, sensor_topics

log = structlog.get_logger()

#: What each view is read from.
TOPICS: dict[View, tuple[str, ...]] = {
    "events": tuple(topic.name for topic in sensor_topics()),
    "sessions": (SESSIONS,),
}

_decode_session = msgspec.json.Decoder(Session).decode


def view_of(topic: str) -> View:
    return "sessions" if topic == SESSIONS else "events"


def items_of(topic: str, epoch: str, partition: int, message: Message) -> Sequence[Item]:
    """The records of one message; none where it cannot be read (route writes its dead letter), or nobody may see it."""
    value = message.value
    if value is None:
        return ()
    if topic == SESSIONS:
        try:
            session = _decode_session(value)
        except msgspec.DecodeError as error:
            log.warning("a session cannot be read", partition=partition, offset=message.offset, error=str(error))
            return ()
        # As the view sessions_current has them.
        return () if session.removed or session.held else (Item(session, len(value)),)
    decoder = DECODERS[format_of(topic) or topic]
    source = Source(epoch, topic, partition)
    decoded = decode(decoder, value, message.offset, message.timestamp * 1000, source)
    if isinstance(decoded, Rejection):
        return ()
    return [Item(record.event, len(value)) for record in decoded]
