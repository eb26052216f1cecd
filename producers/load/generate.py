"""The stream of lines of a mix, in the order in which they are sent. Pure: the seed is the only source of chance.

Sessions overlap, so records are made by windows of event time: the sessions that begin in a window put their records
into it and those after it; then it is sorted and given out. What waits is what the sessions at hand have still to say.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from operator import attrgetter
from random import Random

from producers.load.devices import DAY, Devices
from producers.load.fates import Fate, Fates
from producers.load.mix import Mix, Tally
from producers.load.visits import RECORDS_PER_SESSION, Visits
from producers.load.writing import WRITERS, Clock, Written, stay_lines

#: Records of one window, about.
_WINDOW = 4_000
_sent = attrgetter("sent")


def generate(mix: Mix, tally: Tally) -> Iterator[list[Written]]:
    """``mix.records`` lines, some thousand at a time; ``tally`` is kept current and exact for what was given out."""
    stream = _Stream(mix)
    while tally.written < mix.records:
        sent = stream.window()
        lines = [one for one in sent if one.fate is not Fate.LOST]
        if len(lines) > mix.records - tally.written:
            del lines[mix.records - tally.written :]
            # What is lost after the last line is not part of it.
            sent = sent[: 1 + sent.index(lines[-1])]
        if lines:
            fates = Counter([one.fate for one in sent])
            tally.made += len(sent) - fates[Fate.DOUBLE]
            tally.written += len(lines)
            tally.lost += fates[Fate.LOST]
            tally.bad += fates[Fate.BAD]
            tally.doubled += fates[Fate.DOUBLE]
            tally.late += fates[Fate.LATE]
            tally.first = tally.first or lines[0].sent
            tally.last = lines[-1].sent
            tally.sessions += bisect_right(stream.begun, tally.last)
            yield lines


class _Stream:
    """The windows of a mix, one after the other."""

    def __init__(self, mix: Mix) -> None:
        self._random = Random(mix.seed)
        self._visits = Visits(mix, self._random)
        self._devices = Devices(mix, self._random)
        self._fates = Fates(mix, self._random)
        self._write = WRITERS[mix.format]
        self._clock = Clock()
        self._start = mix.start
        #: Sessions per microsecond.
        self._rate = mix.density / RECORDS_PER_SESSION / 1_000_000
        self._length = max(1, round(_WINDOW / mix.density * 1_000_000))
        self._number = 0
        self._waiting: dict[int, list[Written]] = {}
        self._day = mix.start - mix.start % DAY
        self._next = self._after(mix.start)
        #: When the sessions of the last window began, in order.
        self.begun: list[int] = []

    def window(self) -> list[Written]:
        """What is sent in the next window, in order."""
        end = self._start + (self._number + 1) * self._length
        while self._day < end:
            for stay in self._devices.day(self._day):
                if stay.began >= self._start + self._number * self._length:
                    self._put(stay_lines(stay, self._clock))
            self._day += DAY
        self.begun = []
        while self._next < end:
            self.begun.append(self._next)
            self._put(self._write(self._visits.next(self._next), self._clock))
            self._next = self._after(self._next)
        sent = self._waiting.pop(self._number, [])
        sent.sort(key=_sent)
        self._number += 1
        return sent

    def _after(self, time: int) -> int:
        """When the next session begins; attackers know no night."""
        return time + 1 + int(self._random.expovariate(self._rate))

    def _put(self, records: list[Written]) -> None:
        fates, draw, well = self._fates, self._random.random, self._fates.well
        for written in records:
            drawn = draw()
            if drawn < well:
                self._befall(written, fates.of(drawn))
            self._send(written)

    def _befall(self, written: Written, fate: Fate) -> None:
        if fate is Fate.DOUBLE:
            again = written.sent + self._fates.again()
            self._send(Written(again, written.topic, written.key, written.line, fate))
            return
        written.fate = fate
        if fate is Fate.LATE:
            written.sent += self._fates.delay()
        elif fate is Fate.BAD:
            written.line = self._fates.damaged(written.line)

    def _send(self, written: Written) -> None:
        window = (written.sent - self._start) // self._length
        if window in self._waiting:
            self._waiting[window].append(written)
        else:
            self._waiting[window] = [written]
