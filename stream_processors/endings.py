"""How a session ends, and how an ending is taken back: state, end, duration and its quality in one place."""

from schemas.records import DurationQuality, EndReason, Session, State
from schemas.times import SECOND

#: Closings that a record of the sensor proved.
EVIDENCE = frozenset({EndReason.DISCONNECT, EndReason.COMPLETE})
#: Closings that a later sign of life takes back.
GUESSES = frozenset({EndReason.IDLE_TIMEOUT, EndReason.MAX_DURATION, EndReason.EVICTED, EndReason.SENSOR_RESTART})

#: The sensor's clock said that the session ended before it began.
CLOCK_SKEW = "clock_skew"


def close(session: Session, reason: EndReason, ended_at: int) -> None:
    """Close at ``ended_at`` (microseconds UTC). A duration is never negative: 0 and the flag clock_skew instead."""
    start = session.started_at
    session.state = State.CLOSED
    session.end_reason = reason
    if start is None:
        session.ended_at = ended_at
        session.duration = None
        session.duration_quality = DurationQuality.UNKNOWN
        return
    if ended_at < start:
        ended_at = start
        if CLOCK_SKEW not in session.flags:
            session.flags = [*session.flags, CLOCK_SKEW]
    session.ended_at = ended_at
    session.duration = (ended_at - start) / SECOND
    session.duration_quality = DurationQuality.EXACT if reason in EVIDENCE else DurationQuality.LOWER_BOUND


def reopen(session: Session) -> None:
    """Take a guessed ending back."""
    session.state = State.OPEN
    session.end_reason = EndReason.NONE
    session.ended_at = None
    session.duration = None
    session.duration_quality = DurationQuality.UNKNOWN
