"""What a decoder gives: records, or the reason why it could make none."""

from collections.abc import Callable

import msgspec

from schemas.dead_letters import Reason
from schemas.records import Connection, Event


class Rejection(msgspec.Struct, frozen=True):
    """Why a message could not be decoded; ``field`` is empty when the whole message was wrong."""

    reason: Reason
    field: str = ""
    expected: str = ""

    def __str__(self) -> str:
        where = f" {self.field}" if self.field else ""
        return f"{self.reason}{where}" + (f": expected {self.expected}" if self.expected else "")


class Decoded(msgspec.Struct, gc=False):
    """One record of a message: always a row of ``events``, and a connection record where it says one.

    An event without connection, but with a session key, is activity of that session; unless it stands ``alone``: it
    has addresses, but its sensor does not say which of the sessions between them it belongs to.
    """

    event: Event
    connection: Connection | None = None
    alone: bool = False


#: Pure, and never raises. It does not know where the message was read from: ``producers.formats.decode`` adds that.
Decoder = Callable[[bytes], list[Decoded] | Rejection]


class Source(msgspec.Struct, frozen=True):
    """The partition a message was read from, in one life of its log; ``text`` is ``epoch/topic/partition``."""

    epoch: str
    topic: str
    partition: int
    text: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "text", f"{self.epoch}/{self.topic}/{self.partition}")
