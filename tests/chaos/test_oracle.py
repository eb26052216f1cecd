"""The oracle: whatever is done to the pipeline, afterwards it has exactly what its sensors were told is safe.

On Apache Kafka everything may happen to everything, the broker too; the embedded broker may only be frozen, because its
log ends with it. ``make chaos`` runs each for five minutes, ``make test`` both in less than three. The seed is printed;
SOJOURN_CHAOS_SEED replays its schedule, SOJOURN_CHAOS_SECONDS says for how long there is chaos on each broker.
"""

import os
import secrets
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from deploy.addresses import Address
from producers.kafka.epochs import read_epochs
from producers.kafka.publisher import Publisher
from schemas import topics
from schemas.health import Heartbeat
from schemas.settings import Sessions, Settings, Sink
from tests.chaos.changes import Changes
from tests.chaos.house import House
from tests.chaos.ledger import Ledger, Publishing, publish
from tests.chaos.proxy import Proxy
from tests.chaos.readers import Readers
from tests.chaos.schedule import schedule
from tests.chaos.sensor import Sensor
from tests.chaos.sensors import Fresh, all_sensors
from tests.chaos.verdict import (
    client_of,
    complaints_about_events,
    complaints_about_letters,
    complaints_about_requests,
    complaints_about_roll_ups,
    complaints_about_sessions,
    stored_events,
    stored_sessions,
)
from tests.jars import NoJarsError
from tests.reference import sessions_of
from tests.stack import Stack, apache_stack, embedded_stack, free_port, run_aside
from tests.workers import heartbeats

pytestmark = [pytest.mark.integration, pytest.mark.slow]

_ASKED = os.environ.get("SOJOURN_CHAOS_SECONDS")
#: Among all tests the same schedule each time; `make chaos` looks for new trouble.
SEED = int(os.environ.get("SOJOURN_CHAOS_SEED") or (secrets.randbelow(1_000_000) if _ASKED else 937_424))
#: Seconds of chaos, by broker.
SECONDS = {"kafka": float(_ASKED or 75), "embedded": float(_ASKED or 30)}
#: Seconds until all is as it must be when nothing is done any more; it takes ten to twenty.
SETTLES = 150.0

#: Short, so that every limit is met. Grace is longer than any partition is ever without a worker, in the time of those
#: sensors that publish to several.
LIMITS = Sessions(
    grace=300, idle={"": 60.0, "tcp": 60.0, "udp": 20.0, "ssh": 300.0, "rdp": 0.0}, max_duration=1500, interim=400
)
STACKS = {"kafka": apache_stack, "embedded": embedded_stack}


@contextmanager
def kept_when_it_fails() -> Iterator[Path]:
    """A folder that is gone afterwards, unless what happens in it fails: then its name is said."""
    folder = Path(tempfile.mkdtemp(prefix="sojourn-chaos-"))
    try:
        yield folder
    except NoJarsError as reason:
        shutil.rmtree(folder)
        pytest.skip(f"Apache Kafka: {reason}")
    except BaseException:
        _say(f"logs of all processes are kept in {folder}")
        raise
    shutil.rmtree(folder)


@contextmanager
def house_of(kind: str, folder: Path) -> Iterator[tuple[House, Stack]]:
    """Everything runs, and whoever talks to ClickHouse does so through the proxy."""
    base = Settings(sessions=LIMITS, sink=Sink(flush_ms=1000 if kind == "kafka" else 300))
    with STACKS[kind](folder, base) as stack:
        assert stack.store is not None
        proxy = Proxy(Address("127.0.0.1", free_port()), stack.store.http)
        proxy.start()
        clickhouse = msgspec.structs.replace(stack.settings.clickhouse, url=proxy.url)
        http = msgspec.structs.replace(stack.settings.http, listen=f"127.0.0.1:{free_port()}")
        settings = msgspec.structs.replace(stack.settings, clickhouse=clickhouse, http=http)
        house = House(stack, settings, proxy, folder)
        try:
            house.open()
            yield house, stack
        finally:
            house.close()
            proxy.stop()


@pytest.mark.timeout(max(SECONDS.values()) + 4 * SETTLES + 120)
@pytest.mark.parametrize("kind", list(STACKS))
def test_after_every_fault_there_is_once_what_was_acknowledged_and_nothing_else(kind: str) -> None:
    seconds = SECONDS[kind]
    _say(f"SOJOURN_CHAOS_SEED={SEED} SOJOURN_CHAOS_SECONDS={seconds:.0f}")
    with kept_when_it_fails() as folder, house_of(kind, folder) as (house, stack):
        ledger = Ledger()
        sensors = all_sensors(SEED, time.time_ns() // 1000)
        publishing = Publishing(stack.settings.kafka, sensors, ledger)
        readers, changes = Readers(str(house.api)), Changes(str(house.api), SEED)
        try:
            deeds = schedule(SEED, seconds, stack.settings.kafka.session_timeout, broker_keeps=kind == "kafka")
            began = time.monotonic()
            for at, deed in [*((deed.at, deed) for deed in deeds), (seconds, None)]:
                while time.monotonic() < began + at:
                    house.tend()
                    publishing.check()
                    time.sleep(0.05)
                if deed is not None:
                    house.do(deed)
            house.calm()
            publishing.end()
            wait_for(changes.enough, house)
            changes.end()
            settle(house, stack, ledger, sensors, changes)
            wait_for(readers.all_answered, house)
        finally:
            readers.end()
            changes.end()
            publishing.end()
        assert not readers.complaints(), house.told("\n".join(readers.complaints()))
        lasted = time.monotonic() - began
        _say(f"{len(ledger.acknowledged)} records, {len(deeds)} deeds, {house.cuts} cuts, {lasted:.0f} s")
        answers = Counter(status for (_, status), count in readers.answers.items() for _ in range(count))
        _say(changes.told())
        assert changes.enough(), changes.told()
        _say(f"answers of the API by status, 0 for none: {dict(answers)}")


def wait_for(enough: Callable[[], bool], house: House) -> None:
    """Until it is enough, or too long; who checks afterwards says what is missing."""
    deadline = time.monotonic() + SETTLES
    while not enough() and time.monotonic() < deadline:
        house.tend()
        time.sleep(0.1)


def settle(house: House, stack: Stack, ledger: Ledger, sensors: list[Sensor], changes: Changes) -> None:
    """Wait until nothing is to be complained of any more; what is left then is the failure."""
    settings = stack.settings
    epochs = run_aside(read_epochs(settings.kafka))
    until_quiet(house, stack, ledger)
    with client_of(settings) as client:
        # Only now: event time may not run ahead of what waits in another partition by more than grace.
        fresh = Fresh("chaos-fresh", SEED, time.time_ns() // 1000)
        run_aside(publish_last(settings, ledger, sensors, fresh))
        reached = {sensor.name: sensor.now for sensor in [*sensors, fresh]}
        said = ledger.said(epochs)
        made = sessions_of(said, LIMITS, reached)
        deadline = time.monotonic() + SETTLES
        while True:
            house.tend()
            stored = stored_sessions(client)
            expected, complaints = changes.apply(made, stored)
            complaints += [
                *complaints_about_events(client, epochs, ledger),
                *complaints_about_requests(client, stored),
                *complaints_about_sessions(stored, expected, said),
                *complaints_about_roll_ups(client),
            ]
            if not complaints or time.monotonic() > deadline:
                break
            time.sleep(1)
        complaints += complaints_about_letters(settings, ledger)
        complaints += complaints_about_the_api(house, sum(not one.removed for one in expected))
        assert not complaints, house.told("\n".join(complaints))


def complaints_about_the_api(house: House, sessions: int) -> list[str]:
    """It is there, hears that everything is well, and counts the sessions that there are."""
    deadline = time.monotonic() + 30
    while True:
        house.tend()
        try:
            urllib.request.urlopen(f"http://{house.api}/health/ready", timeout=30).close()
            with urllib.request.urlopen(
                f"http://{house.api}/sessions?page=1&response_per_page=1", timeout=30
            ) as answer:
                matched = msgspec.json.decode(answer.read())["matched"]
        except OSError as error:
            if time.monotonic() > deadline:
                said = error.read().decode() if isinstance(error, urllib.error.HTTPError) else ""
                return [f"the API does not answer: {error} {said}"]
            time.sleep(0.5)
        else:
            return [] if matched == sessions else [f"the API knows {matched} sessions of {sessions}"]


async def publish_last(settings: Settings, ledger: Ledger, sensors: list[Sensor], fresh: Fresh) -> None:
    """A record that takes the event time of every sensor beyond all limits, and a session that is new."""
    async with Publisher(settings.kafka, client="chaos") as publisher:
        await publish(publisher, ledger, sensors, lambda sensor: [sensor.last()])
        await publish(publisher, ledger, [fresh], lambda sensor: sensor.step(5))


def until_quiet(house: House, stack: Stack, ledger: Ledger) -> None:
    """Every record is a row, and the workers have nothing left to do."""
    wanted, rows = len(ledger.good()), 0
    partitions = (len(topics.sensor_topics()) + 1) * stack.settings.kafka.partitions
    beats: list[Heartbeat] = []
    deadline = time.monotonic() + SETTLES
    with client_of(stack.settings) as client:
        while time.monotonic() < deadline:
            house.tend()
            alive = house.pids("process")
            beats = [
                beat
                for beat in run_aside(heartbeats(stack.settings)).values()
                if int(beat.instance.rpartition("-")[2]) in alive and beat.generation >= 0 and beat.lag() == 0
            ]
            rows = stored_events(client)
            if rows >= wanted and sum(len(beat.partitions) for beat in beats) == partitions:
                return
            time.sleep(0.5)
    raise AssertionError(house.told(f"{rows} of {wanted} records are stored, and the workers say {beats}"))


def _say(text: str) -> None:
    print(text)  # noqa: T201
