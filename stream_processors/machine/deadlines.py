"""When something is due for a session with an id of its own: its end by silence or age, an interim version, or that
late records need it no more. All times are microseconds UTC, in event time where nothing else is said."""

from schemas.records import EndReason, Session, State
from schemas.times import SECOND
from stream_processors.machine.boots import Boots
from stream_processors.machine.endings import due_end
from stream_processors.machine.limits import Limits
from stream_processors.machine.stored_session import StoredSession
from stream_processors.machine.timers import Wheels

_NEVER = 1 << 62
_CLOSED = State.CLOSED


class Deadlines:
    """One deadline per session key, by the watermark of its sensor."""

    def __init__(self, limits: Limits, boots: Boots) -> None:
        self._limits = limits
        self._boots = boots
        self._wheels = Wheels()
        #: Event time of the next interim version, once the first has been due.
        self._interim: dict[bytes, int] = {}
        #: Processing time of a guessed close.
        self._guessed_at: dict[bytes, int] = {}

    def schedule(self, key: bytes, session: Session | StoredSession) -> None:
        """Set the deadline that follows from the session as it is now."""
        self._set(session.sensor, key, self._deadline(key, session))

    def schedule_opening(self, key: bytes, sensor: str, protocol: str, start: int) -> None:
        """The same for a session of which nothing is known but that it began at ``start``."""
        idle, longest = self._limits.idle_of(protocol), self._limits.max_duration
        self._set(sensor, key, self._open_deadline(key, start, start, idle, longest))

    def wait_grace(self, key: bytes, sensor: str, since: int) -> None:
        """Something waits for its opening since ``since``."""
        self._wheels.set(sensor, key, since + self._limits.grace)

    def look_again(self, key: bytes, sensor: str, watermark: int) -> None:
        """What was due at ``watermark`` could not be done yet."""
        self._wheels.set(sensor, key, watermark + SECOND)

    def due(self, sensor: str, watermark: int) -> list[bytes]:
        """The keys of ``sensor`` that are due, earliest first; they have no deadline any more."""
        return self._wheels.due(sensor, watermark)

    def cancel(self, key: bytes) -> None:
        """Nothing is due for this session for the moment."""
        self._wheels.cancel(key)

    def forget(self, key: bytes) -> None:
        """Memory lets go of the session, or it has ended by evidence."""
        self._wheels.cancel(key)
        self._interim.pop(key, None)
        self._guessed_at.pop(key, None)

    def guessed(self, key: bytes, now: int) -> None:
        """The session was closed by a guess, at the processing time ``now``: it is kept for a while from then on."""
        self._guessed_at[key] = now

    def is_kept(self, key: bytes, now: int) -> bool:
        """Whether a session closed by a guess is still kept at the processing time ``now``."""
        return now - self._guessed_at.get(key, 0) < self._limits.keep

    def may_be_over(self, sensor: str, time: int, watermark: int) -> bool:
        """Whether a session that began at ``time`` may have ended before it was heard of, by the watermark or by a
        restart of its sensor."""
        return time < self.earliest(sensor, watermark)

    def earliest(self, sensor: str, watermark: int) -> int:
        """The earliest start of which ``may_be_over`` is false."""
        return max(watermark - self._limits.grace + 1, self._boots.latest(sensor))

    def end_at(self, session: Session, watermark: int) -> tuple[int, EndReason] | None:
        """How an open session has ended when the watermark stands at ``watermark``: late records have had their grace.
        See ``endings.due_end``."""
        idle, longest = self._limits_of(session)
        boot = self._boots.after(session.sensor, session.last_activity_at)
        return due_end(session, idle, longest, boot, watermark - self._limits.grace)

    def take_interim(self, key: bytes, session: Session, watermark: int) -> int | None:
        """When the latest interim version was due that is due by now, each once; None when none is."""
        every = self._limits.interim
        start = session.started_at if session.started_at is not None else session.last_activity_at
        interim = self._interim.get(key, start + every)
        if not every or watermark < interim:
            return None
        self._interim[key] = interim + (1 + (watermark - interim) // every) * every
        return interim

    def _deadline(self, key: bytes, session: Session | StoredSession) -> int:
        idle, longest = self._limits_of(session)
        grace = self._limits.grace
        if session.held:
            return session.last_activity_at + grace
        if session.state is _CLOSED:
            return session.last_activity_at + 2 * idle + grace
        start = session.started_at if session.started_at is not None else session.last_activity_at
        return self._open_deadline(key, start, session.last_activity_at, idle, longest)

    def _open_deadline(self, key: bytes, start: int, last: int, idle: int, longest: int) -> int:
        """Of an open session; ``last`` is its last sign of life."""
        grace = self._limits.grace
        deadline = self._interim.get(key, start + self._limits.interim) if self._limits.interim else _NEVER
        if idle:
            deadline = min(deadline, last + idle + grace)
        if longest:
            deadline = min(deadline, start + longest + grace)
        return deadline

    def _set(self, sensor: str, key: bytes, deadline: int) -> None:
        if deadline < _NEVER:
            self._wheels.set(sensor, key, deadline)

    def _limits_of(self, session: Session | StoredSession) -> tuple[int, int]:
        """Idle limit and longest duration; devices have neither."""
        if session.mac and not session.protocol:
            return self._limits.idle_device, 0
        return self._limits.idle_of(session.protocol), self._limits.max_duration
