"""The pipeline on Apache Kafka, settings as in production: what the embedded broker cannot show.

Real worker and sink processes over 12 partitions, with rebalances, kills and a broker restart; transactions,
compaction, and a topic made anew. Skipped, with the reason, where Java 17 or Maven is missing.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from clickhouse_connect.driver.asyncclient import AsyncClient

from deploy.schema import apply_tables
from producers.kafka.epochs import apply_topics, read_epochs
from producers.kafka.history import read_history
from producers.kafka.publisher import Publisher, partition_of
from schemas import topics
from schemas.health import Heartbeat
from schemas.records import Action, Connection, Event, session_key
from schemas.settings import Settings
from schemas.times import SECOND, rfc3339
from tests.integration.sinks import store
from tests.processes import Processes, processes_of
from tests.stack import Stack
from tests.workers import messages, until

pytestmark = pytest.mark.integration

START = 1_795_309_000 * SECOND
#: Seconds of event time that each session of ``generate`` lasts.
LASTS = 50


@pytest.fixture(scope="module")
def pipeline(kafka_stack: Stack) -> Iterator[Processes]:
    """One worker and one sink, started once; a test that starts or ends others leaves one of each."""
    with processes_of(settings_of(kafka_stack)) as processes:
        processes.start("sink")
        processes.start("process")
        yield processes


def settings_of(stack: Stack) -> Settings:
    """A row may wait a second: with 48 partitions, blocks every 200 ms are hundreds of inserts a second."""
    sink = msgspec.structs.replace(stack.settings.sink, flush_ms=1000)
    return msgspec.structs.replace(stack.settings, sink=sink)


@pytest.fixture
def settings(kafka_stack: Stack) -> Settings:
    return settings_of(kafka_stack)


@pytest.fixture
async def processes(pipeline: Processes, settings: Settings) -> Processes:
    await until_shared(settings, pipeline, 1)
    return pipeline


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncClient]:
    async with store(settings) as client:
        yield client


@contextlib.asynccontextmanager
async def admin_of(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def message_of(record: Event | Connection) -> tuple[str, bytes, bytes]:
    """Topic, key and value as a sensor publishes it: times as text."""
    fields = msgspec.to_builtins(record)
    fields["time"] = rfc3339(record.time)
    topic = topics.EVENTS if isinstance(record, Event) else topics.CONNECTIONS_IN
    return topic, session_key(record), msgspec.json.encode(fields)


def connection(action: Action, sensor: str, session: str, at: int) -> Connection:
    return Connection(
        action=action,
        sensor=sensor,
        time=START + at * SECOND,
        session_id=session,
        protocol="ssh",
        client_ip="198.51.100.1",
        client_port=4000,
        server_ip="192.0.2.1",
        server_port=22,
    )


def records_of(sensor: str, number: int) -> list[Event | Connection]:
    """A session: connect, a command, disconnect; three rows of ``events``."""
    name = f"s{number:05d}"
    return [
        connection(Action.CONNECT, sensor, name, number),
        Event(sensor=sensor, time=START + (number + 1) * SECOND, session_id=name, kind="command", data="ls"),
        connection(Action.DISCONNECT, sensor, name, number + LASTS),
    ]


class Load:
    """Publishes sessions until told to stop, many open at once, and counts what Kafka acknowledged."""

    def __init__(self, settings: Settings, sensor: str, pace: float = 0.2) -> None:
        self._settings = settings
        self._sensor = sensor
        self._pace = pace
        self._stop = asyncio.Event()
        self._begun = 0
        self.sessions = 0

    async def run(self) -> None:
        async with Publisher(self._settings.kafka) as publisher:
            waiting: list[list[Event | Connection]] = []
            while waiting or not self._stop.is_set():
                if not self._stop.is_set():
                    waiting += [records_of(self._sensor, self._begun + n) for n in range(40)]
                    self._begun += 40
                # The rest of a session comes two steps after its beginning.
                step = [records.pop(0) for records in waiting]
                waiting = [records for records in waiting if records]
                futures = [await publisher.send(*message_of(record)) for record in step]
                await asyncio.gather(*futures)
                self.sessions = self._begun - len(waiting)
                await asyncio.sleep(self._pace)

    async def __aenter__(self) -> "Load":
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task

    async def end(self) -> int:
        """The number of sessions, all of them published."""
        self._stop.set()
        await self._task
        return self.sessions


async def beats(settings: Settings, component: str) -> list[Heartbeat]:
    """The last heartbeat of each process of a kind."""
    found = {}
    for message in await messages(settings, topics.HEALTH):
        if message.value is not None and (message.key or b"").startswith(component.encode() + b"/"):
            beat = msgspec.json.decode(message.value, type=Heartbeat)
            found[beat.instance] = beat
    return list(found.values())


def is_of(beat: Heartbeat, pid: int) -> bool:
    return beat.instance.endswith(f"-{pid}")


async def until_shared(settings: Settings, processes: Processes, members: int) -> None:
    """The workers that run now, so many, own the partitions of all topics between them, each at least some."""
    topics_read = len(topics.sensor_topics()) + 1
    alive = [process.pid for process in processes.alive("process")]
    assert len(alive) == members, processes.logs()
    seen: list[tuple[str, int, int]] = []

    async def shared() -> bool:
        assert len(processes.alive("process")) == members, f"a worker has ended\n{processes.logs()}"
        owners = [beat for beat in await beats(settings, "worker") if any(is_of(beat, pid) for pid in alive)]
        seen[:] = [(beat.instance, beat.generation, len(beat.partitions)) for beat in owners]
        return (
            len(owners) == members
            and all(beat.generation >= 0 and beat.partitions for beat in owners)
            and sum(len(beat.partitions) for beat in owners) == topics_read * settings.kafka.partitions
        )

    await until(
        shared, 90, lambda: f"{members} workers never shared the partitions: {seen}\n{processes.logs()}", pause=0.5
    )


async def events_stored(client: AsyncClient, sensor: str) -> tuple[int, int]:
    """Rows of a sensor, counted without FINAL, and distinct positions among them."""
    result = await client.query(
        "SELECT count(), uniqExact(_epoch, _topic, _partition, _offset, _index) FROM events WHERE sensor = {s:String}",
        parameters={"s": sensor},
    )
    rows, positions = result.result_rows[0]
    return rows, positions


async def sessions_stored(client: AsyncClient, sensor: str) -> Counter[tuple[object, ...]]:
    result = await client.query(
        "SELECT state, end_reason, duration, event_count FROM sessions_current WHERE sensor = {s:String}",
        parameters={"s": sensor},
    )
    return Counter(tuple(row) for row in result.result_rows)


async def until_exact(client: AsyncClient, processes: Processes, sensor: str, sessions: int) -> None:
    """Every record is one row; every session is closed, as long as it lasted, with each of its records counted once."""
    expected = Counter({("closed", "disconnect", float(LASTS), 3): sessions})
    seen: list[object] = []

    async def exact() -> bool:
        seen[:] = [await events_stored(client, sensor), await sessions_stored(client, sensor)]
        return seen == [(3 * sessions, 3 * sessions), expected]

    await until(exact, 90, lambda: f"{sessions} sessions expected, seen {seen}\n{processes.logs()}", pause=0.5)


async def letters(settings: Settings) -> int:
    return len(await messages(settings, topics.DEAD_LETTERS))


async def publish_one_session(settings: Settings, sensor: str) -> None:
    async with Publisher(settings.kafka) as publisher:
        for record in records_of(sensor, 0):
            await (await publisher.send(*message_of(record)))


async def test_the_schema_is_applied_once_and_the_topics_are_as_they_must_be(settings: Settings) -> None:
    assert (await apply_topics(settings.kafka)).created == []
    assert apply_tables(settings) == []
    wanted = {topic.name: topic for topic in topics.all_topics()}
    async with admin_of(settings) as admin:
        found = {topic["topic"]: topic for topic in await admin.describe_topics(list(wanted))}
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted])
    configs = {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for _code, _text, _kind, name, entries in answer.resources
    }
    for name, topic in wanted.items():
        assert len(found[name]["partitions"]) == (topic.partitions or 12), name
        assert {key: configs[name][key] for key in topic.config()} == topic.config(), name
    assert configs[topics.EVENTS]["retention.ms"] == str(7 * topics.DAY_MS)
    assert configs[topics.SESSIONS]["cleanup.policy"] == "compact"


async def test_the_publisher_is_idempotent(settings: Settings) -> None:
    """An idempotent producer has an id, and its batches carry it with a sequence: the broker drops a repetition."""
    async with Publisher(settings.kafka) as publisher:
        manager = publisher._producer._txn_manager
        assert manager is not None
        assert manager.producer_id >= 0
        place = TopicPartition(topics.EVENTS, 3)
        before = manager.sequence_number(place)
        (future,) = await publisher.send_batch(place.topic, place.partition, [(b"k", b"not an event", ())] * 5)
        await future
        assert manager.sequence_number(place) == before + 5


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_workers_that_join_leave_and_are_killed_under_load_double_nothing_and_lose_nothing(
    settings: Settings, processes: Processes, client: AsyncClient, sensor: str
) -> None:
    (first,) = processes.alive("process")
    async with Load(settings, sensor) as load:
        second = processes.start("process")
        await until_shared(settings, processes, 2)
        third = processes.start("process")
        await until_shared(settings, processes, 3)
        assert await asyncio.to_thread(first.stop) == 0
        await until_shared(settings, processes, 2)
        second.kill()
        await until_shared(settings, processes, 1)
        sessions = await load.end()
    await until_exact(client, processes, sensor, sessions)
    assert third.running


@pytest.mark.slow
async def test_a_broker_that_restarts_under_load_loses_nothing_and_doubles_nothing(
    kafka_stack: Stack, settings: Settings, processes: Processes, client: AsyncClient, sensor: str
) -> None:
    assert kafka_stack.apache is not None

    async def some(least: int) -> None:
        async def there() -> bool:
            return (await events_stored(client, sensor))[0] >= least

        await until(there, 60, lambda: f"{least} events never came\n{processes.logs()}")

    async with Load(settings, sensor) as load:
        await some(1000)
        # Without a farewell: what was acknowledged is in the log all the same.
        kafka_stack.apache.kill()
        kafka_stack.apache.start()
        await some(2000)
        sessions = await load.end()
    await until_exact(client, processes, sensor, sessions)


@pytest.mark.slow
async def test_an_aborted_transaction_costs_no_delay_no_dead_letter_and_leaves_no_rows(
    settings: Settings, processes: Processes, client: AsyncClient, sensor: str
) -> None:
    before = await letters(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, transactional_id=f"sensor-{sensor}")
    await producer.start()

    async def send(number: int) -> None:
        for record in records_of(sensor, number):
            topic, key, value = message_of(record)
            # One partition, so that what was aborted lies before, between and behind what counts.
            await producer.send_and_wait(topic, value, key=key, partition=5)

    for number, commit in enumerate((False, True, False, True, False)):
        await producer.begin_transaction()
        await send(number)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    await producer.stop()
    await until_exact(client, processes, sensor, 2)
    assert await letters(settings) == before

    async def caught_up() -> bool:
        """Behind the last record lie aborted ones and a marker; nobody may wait for them."""
        mine = [b for kind in ("worker", "sink") for b in await beats(settings, kind) if b.generation >= 0]
        mine = [beat for beat in mine if any(is_of(beat, process.pid) for process in processes.alive())]
        return len(mine) == 2 and all(beat.partitions and beat.lag() == 0 for beat in mine)

    await until(caught_up, 30, lambda: f"there is lag left\n{processes.logs()}")
    for beat in [*await beats(settings, "worker"), *await beats(settings, "sink")]:
        assert beat.counters.get("holes_seen_total", 0) == beat.counters.get("holes_passed_total", 0) == 0


@pytest.mark.slow
async def test_a_compacted_log_of_sessions_is_restored_and_stored_without_delay_or_dead_letter(
    settings: Settings, processes: Processes, client: AsyncClient, sensor: str
) -> None:
    """Sessions change often before the sink reads them: it, and a worker's restore, meet the holes of compaction."""
    open_ones = 12
    (worker,), (sink,) = processes.alive("process"), processes.alive("sink")
    assert await asyncio.to_thread(sink.stop) == 0
    async with admin_of(settings) as admin:
        await admin.alter_configs(
            [
                ConfigResource(
                    ConfigResourceType.TOPIC,
                    topics.SESSIONS,
                    {"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.01"},
                )
            ]
        )
    before = await letters(settings)
    async with Publisher(settings.kafka) as publisher:
        for number in range(open_ones):
            await (await publisher.send(*message_of(records_of(sensor, number)[0])))
        # Each round is a version of every session, and, after segment.ms, a new segment.
        for _ in range(12):
            for number in range(open_ones):
                await (await publisher.send(*message_of(records_of(sensor, number)[1])))
            await asyncio.sleep(0.25)

    offsets: dict[int, list[int]] = {}

    async def has_holes() -> bool:
        offsets.clear()
        async for place, records in read_history(settings.kafka, places):
            offsets.setdefault(place.partition, []).extend(record.offset for record in records)
        # Nothing is deleted by age: what is missing below the last offset was compacted.
        return sum(found[-1] >= len(found) for found in offsets.values()) >= 3

    places = {TopicPartition(topics.SESSIONS, p): 0 for p in range(settings.kafka.partitions)}
    await until(has_holes, 40, lambda: f"nothing was compacted: {offsets}\n{processes.logs()}", pause=0.5)
    assert await asyncio.to_thread(worker.stop) == 0
    processes.start("process")
    sink = processes.start("sink")
    await until_shared(settings, processes, 1)
    async with Publisher(settings.kafka) as publisher:
        for number in range(open_ones):
            await (await publisher.send(*message_of(records_of(sensor, number)[2])))
    expected = Counter({("closed", "disconnect", float(LASTS), 14): open_ones})
    seen: list[object] = []

    async def exact() -> bool:
        seen[:] = [await events_stored(client, sensor), await sessions_stored(client, sensor)]
        return seen == [(14 * open_ones, 14 * open_ones), expected]

    await until(exact, 60, lambda: f"seen {seen}\n{processes.logs()}")
    assert await letters(settings) == before
    for beat in await beats(settings, "sink"):
        if is_of(beat, sink.pid):
            assert beat.counters.get("holes_seen_total", 0) == 0


@pytest.mark.slow
async def test_a_topic_deleted_and_made_anew_is_read_from_zero_under_a_new_epoch(
    settings: Settings, processes: Processes, client: AsyncClient, sensor: str
) -> None:
    await publish_one_session(settings, sensor)
    await until_exact(client, processes, sensor, 1)
    before = await read_epochs(settings.kafka)
    async with admin_of(settings) as admin:
        await admin.delete_topics([topics.EVENTS, topics.CONNECTIONS_IN])
    applied = await apply_topics(settings.kafka)
    assert set(applied.created) == {topics.EVENTS, topics.CONNECTIONS_IN}
    after = await read_epochs(settings.kafka)
    assert {name for name in before if before[name] != after[name]} == {topics.EVENTS, topics.CONNECTIONS_IN}
    # The old epoch is withdrawn before the topic is there again: nobody reads the new log under it.
    written = [m.value for m in await messages(settings, topics.EPOCHS) if m.key == topics.EVENTS.encode()]
    assert written[-3:] == [before[topics.EVENTS].encode(), None, after[topics.EVENTS].encode()]
    # The same positions as before, in another log: they are other records, and all of them count.
    again = f"{sensor}-again"
    await publish_one_session(settings, again)
    await until_exact(client, processes, again, 1)
    assert await events_stored(client, sensor) == (3, 3)
    result = await client.query(
        "SELECT DISTINCT _epoch, _topic FROM events WHERE sensor = {s:String}", parameters={"s": again}
    )
    assert {(topic, epoch) for epoch, topic in result.result_rows} == {
        (name, after[name]) for name in (topics.EVENTS, topics.CONNECTIONS_IN)
    }
    partition = partition_of(session_key(records_of(again, 0)[0]), settings.kafka.partitions)
    lowest = await client.query(
        "SELECT min(_offset) FROM events WHERE sensor = {s:String} AND _topic = {t:String} AND _partition = {p:UInt32}",
        parameters={"s": again, "t": topics.EVENTS, "p": partition},
    )
    assert lowest.result_rows == [(0,)]
