"""Places in the log: what a client hands back as Last-Event-ID to go on where it was."""

import base64
import binascii
from collections.abc import Mapping, Sequence

import msgspec

from query_api.errors import BadRequestError

HEADER = "Last-Event-ID"
#: What a client gives that wants everything there is.
BEGINNING = "0"
#: Characters of an epoch that are kept: enough to tell the lives of one topic apart.
_EPOCH = 8
_LIMIT = 6000


class Within(msgspec.Struct, frozen=True, array_like=True):
    """The next message of this partition was begun: so many of its records were given already."""

    topic: str
    partition: int
    records: int


class Positions(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Per topic its epoch and the next offset of each partition. Topics that had nothing yet are left out."""

    topics: dict[str, tuple[str, list[int]]] = {}
    within: Within | None = None

    def begins(self, topic: str, partition: int, epoch: str) -> int:
        """Where to go on; 0 in a log that is not the one it was."""
        known, offsets = self.topics.get(topic, ("", []))
        if not epoch.startswith(known) or partition >= len(offsets):
            return 0
        return offsets[partition]

    def given(self, topic: str, partition: int, offset: int, epoch: str) -> int:
        """How many records of this message were given before."""
        within = self.within
        if within is None or (within.topic, within.partition) != (topic, partition):
            return 0
        return within.records if offset == self.begins(topic, partition, epoch) else 0


_decode = msgspec.msgpack.Decoder(Positions).decode
_encode = msgspec.msgpack.Encoder().encode


def written(epochs: Mapping[str, str], offsets: Mapping[str, Sequence[int]], within: Within | None = None) -> bytes:
    """The positions of some topics as text without spaces."""
    topics = {name: (epochs[name][:_EPOCH], list(each)) for name, each in offsets.items() if any(each)}
    return base64.urlsafe_b64encode(_encode(Positions(topics, within))).rstrip(b"=")


def read_positions(text: str) -> Positions:
    """Raises BadRequestError."""
    if text == BEGINNING:
        return Positions()
    try:
        if len(text) > _LIMIT:
            raise ValueError
        found = _decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise BadRequestError(f"{HEADER} is no id that this stream has given", field=HEADER) from None
    if any(not 0 <= offset < 1 << 62 for _, offsets in found.topics.values() for offset in offsets):
        raise BadRequestError(f"{HEADER} has an offset that no log has", field=HEADER)
    return found
