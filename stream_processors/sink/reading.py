"""From messages to rows. Pure."""

from collections.abc import Sequence

import msgspec

from producers.formats import DECODERS, Decoder, Rejection, Source, decode
from producers.kafka.message import Message
from schemas.dead_letters import DeadLetter, Reason, Stage
from schemas.records import Session
from schemas.topics import EVENTS, SESSIONS, format_of
from stream_processors.sink.connections import stored_connection
from stream_processors.sink.places import Place
from stream_processors.sink.quick_events import read_events, record_id_of
from stream_processors.sink.spool import Part, Row

_decode_session = msgspec.json.Decoder(Session).decode


class Reading(msgspec.Struct):
    """Rows with the offset of each, and what only the sink can complain about."""

    rows: list[Row]
    offsets: list[int]
    refused: list[DeadLetter] = []


class Reader:
    """Makes rows of one partition's messages; which rows depends on the topic."""

    __slots__ = ("_decoder", "_place", "_source")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._source = Source(place.epoch, place.topic, place.partition)
        self._decoder = decoder_of(place.topic)

    def read(self, messages: Sequence[Message]) -> Reading:
        """Messages without a row are left out: ``route`` writes the dead letters of what cannot be decoded."""
        if self._decoder is None:
            return self._sessions(messages)
        decoder, source = self._decoder, self._source
        if self._place.topic == EVENTS:
            events, offsets = read_events(messages, source)
            return Reading([*events], offsets)
        rows: list[Row] = []
        offsets = []
        for message in messages:
            record_id = record_id_of(message) if message.headers else ""
            offset = message.offset
            decoded = decode(decoder, message.value, offset, message.timestamp * 1000, source, record_id)
            if isinstance(decoded, Rejection):
                continue
            for record in decoded:
                record.event.connection = stored_connection(record)
                rows.append(record.event)
                offsets.append(offset)
        return Reading(rows, offsets)

    def _sessions(self, messages: Sequence[Message]) -> Reading:
        reading = Reading([], [])
        for message in messages:
            if message.value is None:
                continue
            try:
                session = _decode_session(message.value)
            except msgspec.DecodeError as error:
                letter = dead_letter(self._place, message.offset, message, Reason.NOT_AN_OBJECT, str(error))
                reading.refused = [*reading.refused, letter]
                continue
            reading.rows.append(session)
            reading.offsets.append(message.offset)
        return reading


def newest(sessions: Part) -> Part:
    """One version of each session: that with the highest revision."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for number, session in enumerate(sessions.rows):
        if not isinstance(session, Session):
            raise TypeError("only sessions have revisions")
        key = (session.sensor, session.session_id)
        known = found.get(key)
        if known is None or session.revision >= known[0]:
            found[key] = (session.revision, number)
    return sessions.at(sorted(number for _, number in found.values()))


def dead_letter(place: Place, offset: int, message: Message | None, reason: Reason, expected: str) -> DeadLetter:
    """A dead letter of the sink; without a message for what was never delivered."""
    letter = DeadLetter(
        stage=Stage.SINK,
        reason=reason,
        expected=expected,
        topic=place.topic,
        partition=place.partition,
        offset=offset,
        epoch=place.epoch,
    )
    if message is not None:
        letter.time = message.timestamp * 1000
        letter.key = message.key
        letter.value = message.value
        letter.headers = list(message.headers)
    return letter


def decoder_of(topic: str) -> Decoder | None:
    """None for ``sessions``. Raises ValueError for a topic that no sensor writes."""
    if topic == SESSIONS:
        return None
    name = format_of(topic)
    if name is None or name not in DECODERS:
        raise ValueError(f"topic {topic} has no decoder")
    return DECODERS[name]
