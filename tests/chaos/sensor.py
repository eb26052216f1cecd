"""A sensor plans what it publishes; what each record says is noted when it is made, not read back from its bytes.

Times of one sensor run at its own pace, some far faster than the clock, so that minutes of test hold hours of limits.
"""

import heapq
import random
from collections.abc import Iterator
from itertools import count

import msgspec

from schemas import topics
from schemas.records import Connection, Event
from schemas.times import HOUR, SECOND, rfc3339

_encode = msgspec.json.Encoder().encode

#: A record is published at most so much later than its event time, seconds of event time: well within grace.
LATE = 40.0
#: How far the last record of a sensor jumps: beyond every limit, and less than what needs confirming.
BEYOND = 3 * HOUR


class Sent(msgspec.Struct, frozen=True):
    """A record for a topic. ``says`` is None for events of no session; ``poison`` no decoder takes."""

    topic: str
    key: bytes | None
    value: bytes
    says: Connection | None = None
    poison: bool = False


class Sensor:
    """Plans the records of each session ahead and gives them out in the order in which they are published."""

    #: Seconds of event time that pass in one second, and sessions begun in it.
    speed = 1.0
    rate = 8.0
    #: Whether its records come late, too. Where keys have no id a restart settles what lies before it
    #: (docs/decisions/0002), so those sensors publish in order.
    late = True

    def __init__(self, name: str, seed: int, began: int) -> None:
        self.name = name
        self.random = random.Random(f"{seed}/{name}")
        self.now = began
        self._due: list[tuple[int, int, Sent]] = []
        self._numbers = count()
        self._owed = 0.0

    def session(self, number: int, start: int) -> Iterator[tuple[int, Sent]]:
        """The records of one session that begins at ``start``, each with its event time."""
        raise NotImplementedError

    def step(self, seconds: float) -> list[Sent]:
        """What is published in the next ``seconds``."""
        self._owed += self.rate * seconds
        passed = round(seconds * self.speed * SECOND)
        while self._owed >= 1:
            self._owed -= 1
            for time, sent in self.session(next(self._numbers), self.now + self.random.randrange(passed)):
                self._plan(time, sent)
        self.now += passed
        return list(self._until(self.now))

    def last(self) -> Sent:
        """An event of no session that takes the sensor's event time beyond every limit."""
        self.now += BEYOND
        return Sent(topics.EVENTS, self.name.encode(), event_value(Event(sensor=self.name, time=self.now, kind="ping")))

    def _until(self, time: int) -> Iterator[Sent]:
        while self._due and self._due[0][0] <= time:
            yield heapq.heappop(self._due)[2]

    def _plan(self, time: int, sent: Sent) -> None:
        """Most records come as they happen, some late, and a few twice."""
        chance = self.random.random()
        late = 0.0 if chance < 0.8 or not self.late else self.random.uniform(0, LATE if chance > 0.95 else 5)
        published = time + round(late * SECOND)
        heapq.heappush(self._due, (published, next(self._numbers), sent))
        if self.random.random() < 0.03:
            again = published + (self.random.randrange(10 * SECOND) if self.late else 0)
            heapq.heappush(self._due, (again, next(self._numbers), sent))

    def _moments(self, start: int, lasts: float, most: int) -> list[int]:
        """Up to ``most`` event times between the ends of a session, neither of them included."""
        end = start + round(lasts * SECOND)
        return sorted(self.random.randrange(start + 1, end) for _ in range(self.random.randint(0, most)))

    def _lasts(self) -> float:
        """Seconds: short ones, some longer than the idle limits, a few longer than any session may be."""
        return self.random.choice((0.5, 5.0, 20.0, 60.0, 60.0, 200.0, 900.0, 2500.0)) * self.random.uniform(0.5, 1.5)


def event_value(event: Event) -> bytes:
    """As a sensor writes it: time as text."""
    fields = msgspec.to_builtins(event)
    fields["time"] = rfc3339(event.time)
    return _encode(fields)
