"""From messages to rows. Pure."""

from collections.abc import Sequence

import msgspec

from producers.formats import DECODERS, Decoder, Rejection, Source, decode
from producers.kafka.message import Message
from schemas.dead_letters import DeadLetter, Reason, Stage
from schemas.records import Session
from schemas.topics import SESSIONS, format_of
from stream_processors.sink.places import Place
from stream_processors.sink.spool import Row

_decode_session = msgspec.json.Decoder(Session).decode
_RECORD_ID = "record_id"


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
        self._decoder = _decoder_of(place.topic)

    def read(self, messages: Sequence[Message]) -> Reading:
        """Messages without a row are left out: ``route`` writes the dead letters of what cannot be decoded."""
        if self._decoder is None:
            return self._sessions(messages)
        decoder, source = self._decoder, self._source
        rows: list[Row] = []
        offsets: list[int] = []
        for message in messages:
            record_id = record_id_of(message) if message.headers else ""
            offset = message.offset
            decoded = decode(decoder, message.value, offset, message.timestamp * 1000, source, record_id)
            if isinstance(decoded, Rejection):
                continue
            for record in decoded:
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


def record_id_of(message: Message) -> str:
    """The header ``record_id``, empty without one."""
    for name, value in message.headers:
        if name == _RECORD_ID:
            return value.decode("utf-8", "replace")
    return ""


def newest(sessions: Sequence[Row], positions: Sequence[tuple[int, int]]) -> tuple[list[Row], list[tuple[int, int]]]:
    """One version of each session: that with the highest revision; with the position of each, ascending."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for number, session in enumerate(sessions):
        if not isinstance(session, Session):
            raise TypeError("only sessions have revisions")
        key = (session.sensor, session.session_id)
        known = found.get(key)
        if known is None or session.revision >= known[0]:
            found[key] = (session.revision, number)
    kept = sorted(number for _, number in found.values())
    return [sessions[number] for number in kept], [positions[number] for number in kept]


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


def _decoder_of(topic: str) -> Decoder | None:
    if topic == SESSIONS:
        return None
    name = format_of(topic)
    if name is None or name not in DECODERS:
        raise ValueError(f"topic {topic} has no decoder")
    return DECODERS[name]
