"""Stored sessions against remade ones, field by field. Pure."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from schemas.records import EndReason, Session
from stream_processors.machine.amending import is_replaced
from stream_processors.machine.endings import EVIDENCE
from stream_processors.machine.revisions import next_revision

#: What depends on the order of arrival, or on what nobody but the running machine knows.
ARRIVAL = frozenset({"revision", "version", "created_at", "modified_at", "positions", "requests"})
_COMPARED = tuple(name for name in Session.__struct_fields__ if name not in ARRIVAL)

Sessions = Mapping[tuple[str, str], Session]


class Kind(StrEnum):
    MISSING = "missing"
    DIFFERENT = "different"
    SURPLUS = "surplus"


class Difference(msgspec.Struct, frozen=True):
    """One session that is not as its records say. ``fields``: name → what is stored, what it should be."""

    kind: Kind
    sensor: str
    session_id: str
    fields: dict[str, tuple[object, object]] = {}
    #: The version that repairs it; None where nothing can be said for sure.
    repair: Session | None = None


def compared(stored: Sessions, remade: Sessions) -> list[Difference]:
    """What differs. A session that is removed stays removed, whatever its records say; one that became another one, and
    one that was never shown, is nobody's loss."""
    found = []
    for name in sorted(stored.keys() | remade.keys()):
        here, there = stored.get(name), remade.get(name)
        if there is not None and (is_replaced(there) or there.held):
            there = None
        if here is not None and (is_replaced(here) or here.held):
            # Hidden: as good as not there, but its revision is to be outranked.
            if there is not None:
                found.append(Difference(Kind.MISSING, *name, {}, _corrected(here, there)))
        elif here is None and there is not None:
            if not there.removed:
                found.append(Difference(Kind.MISSING, *name, {}, there))
        elif here is not None and there is None:
            if not here.removed:
                found.append(Difference(Kind.SURPLUS, *name))
        elif here is not None and there is not None and (fields := _fields(here, there)):
            found.append(Difference(Kind.DIFFERENT, *name, fields, _corrected(here, there)))
    return found


def _fields(stored: Session, remade: Session) -> dict[str, tuple[object, object]]:
    if stored.end_reason is EndReason.EVICTED and remade.end_reason not in EVIDENCE:
        # The limit of a worker's memory ended it: no record says so.
        return {}
    differing = {}
    for name in _COMPARED:
        before, after = getattr(stored, name), getattr(remade, name)
        if before != after and not (name == "removed" and before):
            differing[name] = (before, after)
    return differing


def _corrected(stored: Session, remade: Session) -> Session:
    """The version that takes the place of the stored one."""
    session = msgspec.structs.replace(remade, version=max(stored.version + 1, remade.version))
    session.removed = (stored.removed and not is_replaced(stored)) or remade.removed
    session.created_at, session.modified_at = stored.created_at, max(stored.modified_at, remade.modified_at)
    session.requests = stored.requests or remade.requests
    session.positions = {
        source: max(stored.positions.get(source, -1), remade.positions.get(source, -1))
        for source in stored.positions.keys() | remade.positions.keys()
    }
    session.revision = max(stored.revision + 1, next_revision(remade, remade.last_activity_at, 0))
    return session
