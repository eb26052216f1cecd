"""Records of an API about sessions of keys without an id that memory does not have: a store is asked for the sessions.

A device's removal concerns sessions of every sensor and time, so it always asks. A commit does not pass a write that
waits: after a crash it is read again.
"""

from collections.abc import Iterable

import msgspec

from schemas.records import Connection, Session


class Write(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One record that waits, as it came."""

    key: bytes
    record: Connection
    broker_time: int
    offset: int


class Writes:
    """Those of one partition, in the order they came."""

    def __init__(self, enabled: bool) -> None:
        #: Whether somebody answers.
        self.enabled = enabled
        self._waiting: dict[int, Write] = {}
        self._asked: set[int] = set()

    def add(self, write: Write) -> None:
        self._waiting[write.offset] = write

    def wait_for(self, key: bytes) -> bool:
        """Whether an earlier write of the same key waits: a later one must not overtake it."""
        return any(write.key == key for write in self._waiting.values())

    def take(self, most: int) -> list[Write]:
        """Up to ``most`` of them, oldest first; each must be settled or given back."""
        taken = [write for offset, write in self._waiting.items() if offset not in self._asked][:most]
        self._asked.update(write.offset for write in taken)
        return taken

    def give_back(self, writes: Iterable[Write]) -> None:
        """They could not be answered: take them again."""
        self._asked.difference_update(write.offset for write in writes)

    def settle(self, write: Write) -> None:
        """It was answered."""
        self._waiting.pop(write.offset, None)
        self._asked.discard(write.offset)

    @property
    def oldest(self) -> int | None:
        """Smallest offset that waits."""
        return min(self._waiting, default=None)


def may_remove(write: Write, session: Session, known: Iterable[Session]) -> bool:
    """Whether a device's removal is about this session: it began before the removal came.

    A removal that comes again, under a later broker time, is as old as what it has removed before (``known``).
    """
    record = write.record
    asked_at = min(
        [write.broker_time, *(one.modified_at for one in known if record.record_id in one.requests)],
    )
    if session.created_at != asked_at:
        return session.created_at < asked_at
    # The same millisecond: of one partition the log's order is known.
    opened_behind = session.version == 1 and session.positions.get(record.source, -1) > max(record.positions, default=0)
    return not opened_behind
