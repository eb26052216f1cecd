"""Records of keys that memory may have forgotten: they wait, in order, until a store has said what it knows.

Source: hard-questions, "Changing what state has forgotten".
"""

from schemas.records import Action, Connection, Session
from stream_processors.machine.forgotten import Forgotten
from stream_processors.machine.held import HeldOffsets
from stream_processors.machine.lookups import Lookups
from stream_processors.machine.merging import facts_of

#: A record with its broker time and offset.
Waiting = tuple[Connection, int, int]
#: Records that wait at most, should nobody heed ``count``; one more goes on with what memory knows.
_MOST_WAITING = 100_000


class Questions:
    """The keys of one kind that are asked about now."""

    def __init__(self, held: HeldOffsets, lookups: Lookups, forgotten: Forgotten) -> None:
        self._held = held
        self._lookups = lookups
        self._forgotten = forgotten
        #: Records that wait.
        self.count = 0
        #: Key → its records since it is being asked about.
        self.open: dict[bytes, list[Waiting]] = {}

    def is_forgotten(self, key: bytes) -> bool:
        """Whether a store is to be asked before a record of an unknown key means anything."""
        return key in self._forgotten and self._lookups.enabled

    def ask(self, key: bytes, record: Connection, broker_time: int, offset: int) -> bool:
        """Let this record wait, and ask when it is the first of its key; false when it cannot wait."""
        waiting = self.open.get(key)
        if waiting is None:
            if self.count >= _MOST_WAITING or not self._lookups.ask(key):
                return False
            waiting = self.open[key] = []
            self._held.hold(key, offset, broker_time)
        waiting.append((record, broker_time, offset))
        self.count += 1
        return True

    def answered(self, key: bytes) -> list[Waiting] | None:
        """The records that waited for this answer; None when it was not asked here."""
        waiting = self.open.pop(key, None)
        if waiting is not None:
            self.count -= len(waiting)
            self._held.release(key)
        return waiting


def waiting_of(session: Session) -> list[Waiting]:
    """The records of an end that waits, out of the version that was published of it: after a crash that is all there
    is of them. Its closing, and a fact for each other source it has counted."""
    if not session.held or session.ended_at is None:
        return []
    records: list[Waiting] = []
    for source, position in session.positions.items():
        record = Connection(
            action=Action.ANNOTATE if records else Action.DISCONNECT,
            sensor=session.sensor,
            session_id=session.session_id,
            time=session.ended_at,
            kind=session.disconnect_kind,
            record_id=session.closed_by,
            source=source,
            positions=[position],
            **facts_of(session),
        )
        records.append((record, session.modified_at, 0))
    return records
