"""Which version of a session wins: evidence outranks guesses, and a version never goes back.

``revision = max(rank << 56 | time, previous + 1)``. The time is the event time of the record that caused the version,
or a timer's deadline, never a clock; no broker position is in it. Source: session-semantics, "revision".
"""

from schemas.records import EndReason, Session

_RANK_SHIFT = 56
_TIME_MASK = (1 << _RANK_SHIFT) - 1

_OPEN = 1
_EVIDENCE = 4
_REMOVED = 5
#: What the revisions of open sessions, and of those that ended by evidence, begin with.
OPEN_RANK = _OPEN << _RANK_SHIFT
EXACT_RANK = _EVIDENCE << _RANK_SHIFT
_RANK_OF_END = {
    EndReason.NONE: _OPEN,
    EndReason.ORPHAN: 0,
    EndReason.IDLE_TIMEOUT: 2,
    EndReason.MAX_DURATION: 2,
    EndReason.EVICTED: 2,
    EndReason.SUPERSEDED: 3,
    EndReason.SENSOR_RESTART: 3,
    EndReason.DISCONNECT: _EVIDENCE,
    EndReason.COMPLETE: _EVIDENCE,
}


def rank_of(session: Session) -> int:
    """0 orphan, 1 open, 2 and 3 guesses, 4 evidence, 5 removed."""
    if session.removed:
        return _REMOVED
    return _RANK_OF_END[session.end_reason]


def time_of(revision: int) -> int:
    """Event time that caused the version, microseconds UTC; a little more where several records came of one time."""
    return revision & _TIME_MASK


def next_revision(session: Session, time: int, records: int = 1) -> int:
    """The revision after ``records`` more records were applied, the last of them at ``time`` (microseconds UTC)."""
    candidate = rank_of(session) << _RANK_SHIFT | (time & _TIME_MASK if time > 0 else 0)
    following = session.revision + records
    return candidate if candidate > following else following
