"""Our own events, many at once: what the decoder ``sojourn.event`` gives, for a third of the time.

Most messages of ``sensor.events`` are plain: known fields, a time, no header. Those are decoded by one call for many
and finished here; whatever is not plain goes the decoder's own way. A test compares the two. The default record_id,
the source position, is left empty: the insert fills it in (``statements``).
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from producers.formats import DECODERS, Rejection, Source, decode
from producers.formats.moments import micros_of
from producers.formats.sojourn import ClosedEvent
from producers.kafka.message import Message
from schemas.kinds import CODES
from schemas.records import Event
from schemas.times import EARLIEST, LATEST

#: Messages decoded by one call; one that is not plain sends so many the slow way.
_AT_ONCE = 256

_decode_lines = msgspec.json.Decoder(ClosedEvent).decode_lines
_decoder = DECODERS["sojourn.event"]
_NO_DETAILS = Event(sensor="-", time=0).details
_NO_CONNECTION = Event(sensor="-", time=0).connection
_BRACE = ord("{")


def read_events(messages: Sequence[Message], source: Source) -> tuple[list[Event], list[int]]:
    """The events of these messages and the offset of each; messages that cannot be decoded are left out."""
    events: list[Event] = []
    offsets: list[int] = []
    for start in range(0, len(messages), _AT_ONCE):
        some = messages[start : start + _AT_ONCE]
        plain = _plain(some)
        if plain is None:
            for message in some:
                _slowly(message, source, events, offsets)
        else:
            _finish(plain, some, source, events, offsets)
    return events, offsets


def _plain(messages: Sequence[Message]) -> list[ClosedEvent] | None:
    """One event per message, times as the sensor wrote them; None when any message is not plain."""
    values = [message.value for message in messages]
    if None in values:
        return None
    lines = b"\n".join(values)  # type: ignore[arg-type]  # no None is among them
    # A line break within a message would shift the messages behind it.
    if not lines.isascii() or lines.count(b"\n") != len(values) - 1:
        return None
    try:
        events = _decode_lines(lines)
    except (msgspec.DecodeError, RecursionError):
        return None
    return events if len(events) == len(values) else None


def _finish(
    plain: list[ClosedEvent],
    messages: Sequence[Message],
    source: Source,
    events: list[Event],
    offsets: list[int],
) -> None:
    codes = CODES
    no_connection = _NO_CONNECTION
    for event, message in zip(plain, messages, strict=True):
        offset = message.offset
        moment = event.time
        details = event.details
        kind = event.kind
        code = codes.get(kind)
        if (
            code is None
            or event.started is not None
            or event.ended is not None
            or event.offset
            or event.index
            or event.connection is not no_connection
            or message.headers
            or (details is not _NO_DETAILS and memoryview(details)[0] != _BRACE)
        ):
            _slowly(message, source, events, offsets)
            continue
        if isinstance(moment, datetime):
            time = micros_of(moment)
        elif -(10**12) < moment < 10**12:
            time = round(moment * 1_000_000)
        else:
            continue
        if not EARLIEST <= time <= LATEST:
            _slowly(message, source, events, offsets)
            continue
        event.time = time
        if event.type == 0:
            event.type = code
        protocol = event.protocol
        if protocol and not protocol.islower():
            event.protocol = protocol.lower()
        event.offset = offset
        events.append(event)
        offsets.append(offset)


def _slowly(message: Message, source: Source, events: list[Event], offsets: list[int]) -> None:
    record_id = record_id_of(message) if message.headers else ""
    decoded = decode(_decoder, message.value, message.offset, message.timestamp * 1000, source, record_id)
    if not isinstance(decoded, Rejection):
        for record in decoded:
            events.append(record.event)
            offsets.append(message.offset)


def record_id_of(message: Message) -> str:
    """The header ``record_id``, empty without one."""
    for name, value in message.headers:
        if name == "record_id":
            return value.decode("utf-8", "replace")
    return ""
