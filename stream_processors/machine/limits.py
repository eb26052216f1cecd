"""How long the session machine waits, in microseconds. Source: session-semantics, idle limits and rules."""

from collections.abc import Mapping

import msgspec

from schemas import settings
from schemas.times import SECOND


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Every duration is in microseconds; 0 means never."""

    grace: int
    idle: Mapping[str, int]
    idle_device: int
    max_duration: int
    interim: int
    sweep: int
    #: Open sessions of one machine; the longest idle ones are evicted beyond it.
    max_open: int
    #: Keys without an id in memory; the longest idle ones leave it beyond that.
    max_paired: int
    #: Closed sessions kept in memory for late records, oldest forgotten first.
    max_kept: int = 100_000
    #: Sessions closed by evidence that are kept as bytes: what comes later is looked up in the store.
    max_closed: int = 20_000
    #: Records that wait for an answer of the store; with more of them the worker waits, too.
    max_waiting: int = 10_000
    #: Processing time a closed session is kept at least, so that an import finds what it just closed by a guess.
    keep: int = 60 * SECOND

    def idle_of(self, protocol: str) -> int:
        """Silence that closes a session of this protocol."""
        return self.idle.get(protocol, self.idle.get("", 0))


def limits_of(sessions: settings.Sessions, machines: int = 1) -> Limits:
    """The limits of one machine when ``machines`` of them share a worker's ``max_open``."""
    return Limits(
        grace=round(sessions.grace * SECOND),
        idle={protocol: round(seconds * SECOND) for protocol, seconds in sessions.idle.items()},
        idle_device=round(sessions.idle_device * SECOND),
        max_duration=round(sessions.max_duration * SECOND),
        interim=round(sessions.interim * SECOND),
        sweep=round(sessions.sweep * SECOND),
        max_open=max(1, sessions.max_open // max(1, machines)),
        max_paired=max(1, sessions.max_open // (4 * max(1, machines))),
        max_kept=max(1000, 200_000 // max(1, machines)),
        max_closed=max(1000, 80_000 // max(1, machines)),
        max_waiting=max(1000, 40_000 // max(1, machines)),
    )
