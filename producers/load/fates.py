"""What becomes of a record on its way: nothing most often, else it is lost, damaged, doubled or late."""

from enum import IntEnum
from random import Random

from producers.load.mix import Mix

#: Seconds after which a second copy follows, on average.
_AGAIN = 2.0


class Fate(IntEnum):
    WELL = 0
    LOST = 1
    BAD = 2
    #: It is the second copy; the first fared well.
    DOUBLE = 3
    LATE = 4


class Fates:
    """Draws from ``random`` alone."""

    def __init__(self, mix: Mix, random: Random) -> None:
        self._random = random
        self._lost = mix.losses
        self._bad = self._lost + mix.bad
        self._doubled = self._bad + mix.duplicates
        #: What is drawn from here on is well.
        self.well = self._doubled + mix.disorder
        self._delay = mix.delay * 1_000_000

    def of(self, drawn: float) -> Fate:
        """The fate that a number from 0 to 1 stands for."""
        if drawn >= self.well:
            return Fate.WELL
        if drawn < self._lost:
            return Fate.LOST
        if drawn < self._bad:
            return Fate.BAD
        return Fate.DOUBLE if drawn < self._doubled else Fate.LATE

    def delay(self) -> int:
        """Microseconds by which a record is late."""
        return 1 + int(self._random.random() * self._delay)

    def again(self) -> int:
        """Microseconds until a second copy."""
        return 1 + int(self._random.expovariate(1 / _AGAIN) * 1_000_000)

    def damaged(self, line: bytes) -> bytes:
        """A line that no decoder takes: cut off, not UTF-8, without its time, or with a word for it."""
        way = int(self._random.random() * 4)
        if way == 0:
            return line[: 1 + int(self._random.random() * (len(line) - 2))]
        if way == 1:
            return line[:-1] + b',"x":"\xff\xfe"}'
        name = b'"timestamp":"' if b'"timestamp":"' in line else b'"time":"'
        return line.replace(name, name[:-3] + b'_":"' if way == 2 else name + b"about ", 1)
