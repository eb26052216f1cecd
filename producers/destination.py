"""Where a line of a file goes: its decoder, topic and key."""

import msgspec

from producers.formats import DECODERS, Decoded, Rejection
from schemas import topics
from schemas.dead_letters import Reason
from schemas.records import Action, session_key

#: Events and connection records of ours in one file, told apart by the field ``action``.
MIXED = "sojourn"

#: What `sojourn produce` takes as FORMAT.
FORMATS = (MIXED, *DECODERS)

_ACTIONS = frozenset(str(action.value) for action in Action)
_TOPICS = {topics.format_of(topic.name): topic.name for topic in topics.sensor_topics()}


class _Peek(msgspec.Struct):
    action: str = ""


_peek = msgspec.json.Decoder(_Peek).decode


class Destination(msgspec.Struct, frozen=True, gc=False):
    """One line that can be decoded: the topic it belongs to, its session key (may be empty) and its sensor."""

    topic: str
    key: bytes
    sensor: str


class Readable(msgspec.Struct, frozen=True, gc=False):
    """One line that can be decoded: the topic it belongs to, and the records that it is, at least one."""

    topic: str
    records: list[Decoded]

    @property
    def destination(self) -> Destination:
        first = self.records[0]
        return Destination(self.topic, session_key(first.connection or first.event), first.event.sensor)


def topics_of(format_name: str) -> set[str]:
    """The topics a format's lines may go to."""
    if format_name == MIXED:
        return {topics.EVENTS, topics.CONNECTIONS_IN}
    return {_TOPICS[format_name]}


def destination_of(format_name: str, line: bytes) -> Destination | Rejection:
    """Decodes the line to see that it can be; published is the line itself."""
    found = readable(format_name, line)
    return found if isinstance(found, Rejection) else found.destination


def readable(format_name: str, line: bytes) -> Readable | Rejection:
    """What the line says. ``format_name`` is one of FORMATS."""
    if format_name == MIXED:
        format_name = _told_apart(line)
    decoded = DECODERS[format_name](line)
    if isinstance(decoded, Rejection):
        return decoded
    if not decoded:
        return Rejection(Reason.BAD_VALUE, expected="a line that says something")
    return Readable(_TOPICS[format_name], decoded)


def _told_apart(line: bytes) -> str:
    """A record whose action is one that a connection record can have is a connection record; all else is an event."""
    try:
        action = _peek(line).action
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Then it is no connection record; the event's decoder says what is wrong.
        return "sojourn.event"
    return "sojourn.connection" if action.lower() in _ACTIONS else "sojourn.event"
