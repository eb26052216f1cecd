"""What Kafka has acknowledged: the only truth about what must be found afterwards."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping

import msgspec

from producers.kafka.publisher import Publisher
from schemas.records import Connection, position_of
from schemas.settings import Kafka
from tests.chaos.sensor import Sensor, Sent

#: Seconds between two steps of the sensors.
_STEP = 0.25

#: Topic, partition and offset.
Position = tuple[str, int, int]


class Ledger:
    """Every acknowledged record by its position."""

    def __init__(self) -> None:
        self.acknowledged: dict[Position, Sent] = {}

    def add(self, sent: Sent, position: Position) -> None:
        if position in self.acknowledged:
            raise AssertionError(f"Kafka gave the position {position} twice")
        self.acknowledged[position] = sent

    def good(self) -> set[Position]:
        """What must be rows."""
        return {position for position, sent in self.acknowledged.items() if not sent.poison}

    def poison(self) -> set[Position]:
        """What must be dead letters."""
        return {position for position, sent in self.acknowledged.items() if sent.poison}

    def said(self, epochs: Mapping[str, str]) -> list[Connection]:
        """What the records say about connections, each under the position it was acknowledged at."""
        found = []
        for (topic, partition, offset), sent in self.acknowledged.items():
            if sent.says is not None:
                source = f"{epochs[topic]}/{topic}/{partition}"
                found.append(
                    msgspec.structs.replace(
                        sent.says,
                        source=source,
                        positions=[position_of(offset, 0)],
                        record_id=f"{source}/{offset}/0",
                    )
                )
        return found


class Publishing:
    """Publishes what the sensors say, in a thread of its own, and notes what was acknowledged.

    A step begins when the one before is acknowledged: while the broker is away the sensors' time stands still, so
    that no record ever is later than they are by intention.
    """

    def __init__(self, kafka: Kafka, sensors: list[Sensor], ledger: Ledger) -> None:
        self._kafka = kafka
        self._sensors = sensors
        self._ledger = ledger
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sensors")
        self._thread.start()

    def end(self) -> None:
        """Finish the step that has begun; what the sensors still had to say is never published."""
        self._stop.set()
        self._thread.join()
        self.check()

    def check(self) -> None:
        """Raises what ended the thread early."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._publish())
        except BaseException as error:  # noqa: BLE001 - raised again by check
            self._error = error

    async def _publish(self) -> None:
        async with Publisher(self._kafka, client="chaos") as publisher:
            while not self._stop.is_set():
                due = time.monotonic() + _STEP
                await publish(publisher, self._ledger, self._sensors, lambda sensor: sensor.step(_STEP))
                await asyncio.sleep(max(0.0, due - time.monotonic()))


async def publish(
    publisher: Publisher, ledger: Ledger, sensors: list[Sensor], what: Callable[[Sensor], list[Sent]]
) -> None:
    """Returns when all of it is acknowledged and noted. Raises KafkaError when the broker stays away for 40 s."""
    sents = [sent for sensor in sensors for sent in what(sensor)]
    futures = [await publisher.send(sent.topic, sent.key, sent.value) for sent in sents]
    for sent, written in zip(sents, await asyncio.gather(*futures), strict=True):
        ledger.add(sent, (written.topic, written.partition, written.offset))
