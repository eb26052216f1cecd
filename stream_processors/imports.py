"""The same line twice: which messages of an import were imported before. Pure.

`sojourn produce` gives each line of a file an id that does not depend on when it is imported, in the header
``record_id``, and says so with the header ``import`` (producers.record_ids). Only messages with both are asked for in
``events``. The sink decides: the row of a message is stored unless another place of the log has its id. Route follows
that decision, so an event counts in its session exactly when it has a row (hard-questions: the same line twice).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from producers.formats.position import TIME_REPLACED
from producers.formats.years import YEAR_GUESSED
from producers.kafka.message import Message
from producers.record_ids import IMPORT_HEADER
from schemas.records import Event

#: Bytes of an id and its sensor that are looked up; ours have 34 and a name. Longer ones are no imports of ours.
_LONGEST = 4096

#: Epoch, topic, partition and offset of a message.
Origin = tuple[str, str, int, int]


class Imported(msgspec.Struct, frozen=True, gc=False):
    """One message of an import by its first row. ``time`` (microseconds UTC) is None where a second import may get
    another one: an assumed year, or a time that the broker's had to stand in for."""

    offset: int
    record_id: str
    sensor: str
    time: int | None

    @property
    def size(self) -> int:
        """Bytes it takes to ask for it."""
        return len(self.record_id.encode()) + len(self.sensor.encode()) + 24


def is_import(message: Message) -> bool:
    """Whether the message says that it is a line of a file, and which."""
    headers = message.headers
    return IMPORT_HEADER in headers and any(name == "record_id" and value for name, value in headers)


def imported_of(rows: Iterable[tuple[int, Event]], imports: Collection[int]) -> list[Imported]:
    """The imported messages among rows with their offsets, in the order of the log; ``imports`` are their offsets."""
    found: list[Imported] = []
    last = -1
    for offset, event in rows:
        if offset == last or offset not in imports:
            continue
        last = offset
        unsure = TIME_REPLACED in event.flags or YEAR_GUESSED in event.flags
        one = Imported(offset, event.record_id, event.sensor, None if unsure else event.time)
        if one.size <= _LONGEST:
            found.append(one)
    return found


def doubles(
    source: tuple[str, str, int], asked: Sequence[Imported], known: Mapping[str, Collection[Origin]]
) -> set[int]:
    """Offsets of the messages that were imported before: stored elsewhere and not here, or met earlier in ``asked``.

    ``source`` is epoch, topic and partition of the messages, ``known`` has the places where an id is stored.
    """
    found: set[int] = set()
    met: set[str] = set()
    for one in asked:
        places = known.get(one.record_id, ())
        if (*source, one.offset) not in places and (places or one.record_id in met):
            found.add(one.offset)
        met.add(one.record_id)
    return found
