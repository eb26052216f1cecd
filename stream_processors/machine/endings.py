"""How a session ends, and how an ending is taken back: state, end, duration and its quality in one place."""

from schemas.records import DurationQuality, EndReason, Session, State
from schemas.times import SECOND, parse_time, rfc3339
from stream_processors.machine.revisions import time_of
from stream_processors.machine.stored_session import StoredSession

#: Closings that a record of the sensor proved.
EVIDENCE = frozenset({EndReason.DISCONNECT, EndReason.COMPLETE})
#: Closings that a later sign of life takes back.
GUESSES = frozenset({EndReason.IDLE_TIMEOUT, EndReason.MAX_DURATION, EndReason.EVICTED, EndReason.SENSOR_RESTART})
#: Those by the limits of silence and age; an earlier restart of the sensor counts more.
LIMITS = frozenset({EndReason.IDLE_TIMEOUT, EndReason.MAX_DURATION})

#: The sensor's clock said that the session ended before it began.
CLOCK_SKEW = "clock_skew"
#: Attribute with the end the sensor reported, where the session could not take it.
REPORTED_END = "reported_end"


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
        session.attributes = {**session.attributes, REPORTED_END: rfc3339(ended_at)}
        ended_at = start
        if CLOCK_SKEW not in session.flags:
            session.flags = [*session.flags, CLOCK_SKEW]
    elif session.flags and CLOCK_SKEW in session.flags:
        session.flags = [flag for flag in session.flags if flag != CLOCK_SKEW]
        session.attributes = {name: text for name, text in session.attributes.items() if name != REPORTED_END}
    session.ended_at = ended_at
    session.duration = (ended_at - start) / SECOND
    session.duration_quality = DurationQuality.EXACT if reason in EVIDENCE else DurationQuality.LOWER_BOUND


def reported_end(session: Session) -> int | None:
    """The end as the sensor reported it, microseconds UTC; None while there is none."""
    text = session.attributes.get(REPORTED_END)
    return session.ended_at if text is None else parse_time(text)


def reopen(session: Session) -> None:
    """Take a guessed ending back."""
    session.state = State.OPEN
    session.end_reason = EndReason.NONE
    session.ended_at = None
    session.duration = None
    session.duration_quality = DurationQuality.UNKNOWN


def restarted_at(session: Session | StoredSession) -> int:
    """When a restart of its sensor closed a session: the time of that version (microseconds UTC). An API's record has a
    version of its own, whose time is no sensor's.

    Restarts themselves are not stored; without this, the next record of such a session would open it again after the
    worker's own restart.
    """
    # It came after the last sign of life in any case.
    after = session.last_activity_at + 1
    return after if session.requests else max(time_of(session.revision), after)


def due_end(session: Session, idle: int, longest: int, boot: int, reached: int) -> tuple[int, EndReason] | None:
    """How an open session has ended by event time alone, and when that was decided; None while it may go on.

    ``reached`` is the event time the sensor has certainly come to, ``boot`` its first restart after the
    session's last sign of life (0 for none). Of several reasons the one that came first in event time holds, whatever
    was noticed first. All times in microseconds UTC.
    """
    last = session.last_activity_at
    start = last if session.started_at is None else session.started_at
    found = []
    if last < boot:
        found.append((boot, EndReason.SENSOR_RESTART))
        reached = max(reached, boot)
    if idle and last + idle <= reached:
        found.append((last + idle, EndReason.IDLE_TIMEOUT))
    if longest and start + longest <= reached:
        found.append((start + longest, EndReason.MAX_DURATION))
    return min(found, key=lambda one: one[0], default=None)
