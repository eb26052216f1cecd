"""What a generated load is made of. Two equal mixes give the same records, byte for byte."""

from typing import Annotated

import msgspec
from msgspec import Meta

#: Formats a load can be written in.
FORMATS = ("sojourn", "cowrie")
#: Midnight of 2026-01-01 UTC, microseconds.
START = 1_767_225_600_000_000
#: As many addresses as 198.18.0.0/15 has, the range for benches.
MOST_ATTACKERS = 131_072

Share = Annotated[float, Meta(ge=0, le=1)]


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the records depend on. ``checked`` makes one."""

    seed: int = 0
    format: str = "sojourn"
    #: Lines that are written.
    records: Annotated[int, Meta(ge=0)] = 100_000
    #: Event time of the beginning, microseconds UTC.
    start: Annotated[int, Meta(ge=0)] = START
    #: Records per second of event time, about.
    density: Annotated[float, Meta(gt=0, le=1_000_000)] = 1_000.0
    #: Names of sensors begin with it.
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "load-"
    sensors: Annotated[int, Meta(ge=1, le=100_000)] = 8
    attackers: Annotated[int, Meta(ge=1, le=MOST_ATTACKERS)] = 1_000
    #: Devices that come and go daily; Cowrie sees none.
    devices: Annotated[int, Meta(ge=0, le=100_000)] = 100
    #: Of the records made, the shares that are never written, are written damaged, are written twice, and are written
    #: up to ``delay`` seconds of event time late. A record meets one of these fates at most.
    losses: Share = 0.0
    bad: Share = 0.0
    duplicates: Share = 0.0
    disorder: Share = 0.0
    delay: Annotated[float, Meta(ge=0, le=86_400)] = 30.0


def checked(**values: object) -> Mix:
    """A mix of these values. Raises ValueError that names what is wrong with them."""
    try:
        mix = msgspec.convert(values, Mix)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if mix.format not in FORMATS:
        raise ValueError(f"format {mix.format}: {' or '.join(FORMATS)} was expected")
    if mix.losses + mix.bad + mix.duplicates + mix.disorder > 1:
        raise ValueError("losses, bad, duplicates and disorder are more than 1 together")
    if mix.losses == 1:
        raise ValueError("losses 1: nothing would be written, less was expected")
    return mix


class Tally(msgspec.Struct):
    """What a load came to: ``made`` is what happened in it, ``written`` the lines of that, so far."""

    made: int = 0
    written: int = 0
    lost: int = 0
    bad: int = 0
    #: Second copies among the lines written.
    doubled: int = 0
    late: int = 0
    #: Sessions that began until the last line.
    sessions: int = 0
    first: int = 0
    last: int = 0

    @property
    def seconds(self) -> float:
        """Event time from the first line to the last."""
        return (self.last - self.first) / 1_000_000
