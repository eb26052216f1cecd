"""The sink on a real broker and ClickHouse: every event once, whatever happens to the sinks."""

import asyncio
import signal
import time
import uuid

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.kafka.history import read_history
from producers.kafka.publisher import Publisher
from schemas.dead_letters import DeadLetter
from schemas.health import Heartbeat
from schemas.records import Session, State
from schemas.settings import Settings
from schemas.topics import CONNECTIONS_IN, DEAD_LETTERS, EVENTS, HEALTH, SESSIONS
from stream_processors import groups
from stream_processors.sink.answers import FencedError
from stream_processors.sink.places import Place
from stream_processors.sink.writer import Writer
from tests.integration.sinks import (
    Inside,
    SinkProcess,
    commit_zero,
    numbers_of,
    publish_events,
    running_sink,
    sample_event,
    store,
    until,
    until_stored,
)
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def committed(settings: Settings) -> int:
    """How far the sink's group has come, over all partitions of sensor.events."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap, group_id=groups.SINK, enable_auto_commit=False
    )
    await consumer.start()
    partitions = [TopicPartition(EVENTS, number) for number in range(settings.kafka.partitions)]
    consumer.assign(partitions)
    total = sum([await consumer.committed(partition) or 0 for partition in partitions])
    await consumer.stop()
    return total


async def test_events_connections_and_sessions_arrive_with_every_field(settings: Settings, sensor: str) -> None:
    session = Session(
        session_id="s1",
        sensor=sensor,
        key='["x","s1"]',
        started_at=1_795_000_000_123_456,
        last_activity_at=1_795_000_001_000_000,
        duration=None,
        attributes={"a": "b"},
        positions={"e/t/0": 77},
        revision=5 << 56,
        # Rows live for a year after this.
        modified_at=time.time_ns() // 1000,
    )
    async with running_sink(settings), Publisher(settings.kafka) as publisher, store(settings) as client:
        event = {
            "sensor": sensor,
            "time": 1_795_000_000.123456,
            "kind": "login.failed",
            "session_id": "abc",
            "client_ip": "203.0.113.9",
            "client_port": 4242,
            "details": {"nested": {"n": 1}},
            "user": "rööt",
        }
        await (await publisher.send(EVENTS, b"k", msgspec.json.encode(event)))
        connection = {"sensor": sensor, "time": 1_795_000_002, "action": "connect", "session_id": "abc"}
        await (await publisher.send(CONNECTIONS_IN, b"k", msgspec.json.encode(connection)))
        await (await publisher.send(SESSIONS, b"k", msgspec.json.encode(session)))

        async def three() -> bool:
            counts = await client.query(
                "SELECT (SELECT count() FROM events WHERE sensor = {s:String}), "
                "(SELECT count() FROM sessions_current WHERE sensor = {s:String})",
                parameters={"s": sensor},
            )
            return counts.result_rows[0] == (2, 1)

        await until("two events and a session", three)
        rows = await client.query(
            "SELECT kind, type, toUnixTimestamp64Micro(time), client_port, details, user, started, record_id, "
            "concat(_epoch, '/', _topic, '/', toString(_partition), '/', toString(_offset), '/', toString(_index)), "
            "ingested_at > now() - 60 FROM events WHERE sensor = {s:String} AND kind = 'login.failed'",
            parameters={"s": sensor},
        )
        row = rows.result_rows[0]
        assert row[:7] == ("login.failed", 51, 1_795_000_000_123_456, 4242, '{"nested":{"n":1}}', "rööt", None)
        assert row[7] == row[8]
        assert row[9] == 1
        kinds = await client.query(
            "SELECT kind, type, details FROM events WHERE sensor = {s:String} AND _topic = 'sensor.connections'",
            parameters={"s": sensor},
        )
        assert kinds.result_rows == [("connect", 5, '{"action":"connect"}')]
        stored = await client.query(
            "SELECT state, toUnixTimestamp64Micro(assumeNotNull(started_at)), ended_at, duration, duration_quality, "
            "attributes, positions, revision FROM sessions_current WHERE sensor = {s:String}",
            parameters={"s": sensor},
        )
        assert stored.result_rows == [
            (State.OPEN, 1_795_000_000_123_456, None, None, "unknown", {"a": "b"}, {"e/t/0": 77}, 5 << 56)
        ]


async def test_an_event_is_stored_with_the_rules_that_it_meets(settings: Settings, sensor: str) -> None:
    rules = {"root": r"(?i)\bsudo\b", 'it\'s "removed"': "^rm "}
    ruled = msgspec.structs.replace(settings, sink=msgspec.structs.replace(settings.sink, alerts=rules))
    events = [
        sample_event(sensor=sensor, time=1, data="SUDO id"),
        sample_event(sensor=sensor, time=2, data="rm x", content="$ sudo rm x"),
        sample_event(sensor=sensor, time=3, data="rm -r sudo", content=""),
        sample_event(sensor=sensor, time=4, data="ls"),
    ]
    publisher = Publisher(settings.kafka, client="test")
    async with store(settings) as client, running_sink(ruled):
        await publisher.start()
        await asyncio.gather(
            *await publisher.send_batch(EVENTS, 0, [(None, msgspec.json.encode(event), ()) for event in events])
        )
        await publisher.stop()
        statement = "SELECT alerts FROM events WHERE sensor = {sensor:String} ORDER BY time"

        async def stored() -> bool:
            return len((await client.query(statement, parameters={"sensor": sensor})).result_rows) == len(events)

        await until("the events are stored", stored, 60)
        found = [row[0] for row in (await client.query(statement, parameters={"sensor": sensor})).result_rows]
    root, removed = ({"rule": name, "regex": regex} for name, regex in rules.items())
    assert found == [[root], [root], [root, removed], []]


async def test_a_poison_message_is_skipped_and_what_follows_is_stored(settings: Settings, sensor: str) -> None:
    async with running_sink(settings), Publisher(settings.kafka) as publisher, store(settings) as client:
        for value in (b"{", b"", b"\xff\xfe", b'{"sensor":"x"}', b"[1]", b'{"sensor":7,"time":1}', None):
            await (await publisher.send(EVENTS, b"poison", value, partition=0))
        await publish_events(publisher, sensor, range(40), settings.kafka.partitions)
        await until_stored(client, sensor, range(40))


async def test_a_session_that_cannot_be_read_is_a_dead_letter_of_the_sink(settings: Settings, sensor: str) -> None:
    async with running_sink(settings), Publisher(settings.kafka) as publisher, store(settings) as client:
        written = await (await publisher.send(SESSIONS, b"k", b'{"nonsense":1}', partition=0))
        session = Session(session_id="ok", sensor=sensor, key="[]", modified_at=time.time_ns() // 1000)
        await (await publisher.send(SESSIONS, b"k", msgspec.json.encode(session), partition=0))

        async def there() -> bool:
            found = await client.query(
                "SELECT count() FROM sessions WHERE sensor = {s:String}", parameters={"s": sensor}
            )
            return bool(found.result_rows[0][0])

        await until("the session behind it", there)
    letters = [letter async for letter in dead_letters(settings)]
    mine = [letter for letter in letters if (letter.topic, letter.offset) == (SESSIONS, written.offset)]
    assert [(letter.stage, letter.value) for letter in mine] == [("sink", b'{"nonsense":1}')]


async def dead_letters(settings: Settings):  # type: ignore[no-untyped-def]
    async for _, records in read_history(settings.kafka, {TopicPartition(DEAD_LETTERS, 0): 0}):
        for record in records:
            # An empty message marks a letter as replayed or dropped.
            if record.value:
                yield msgspec.json.decode(record.value, type=DeadLetter)


async def test_a_replay_from_offset_zero_changes_nothing(own_stack: Stack) -> None:
    settings = msgspec.structs.replace(
        own_stack.settings, sink=msgspec.structs.replace(own_stack.settings.sink, flush_rows=777)
    )
    async with Publisher(settings.kafka) as publisher, store(settings) as client:
        await publish_events(publisher, "replayed", range(20_000), settings.kafka.partitions)
        async with running_sink(settings):
            await until_stored(client, "replayed", range(20_000))
        await commit_zero(settings)
        # Other block sizes: no token of the first run comes again.
        again = msgspec.structs.replace(settings, sink=msgspec.structs.replace(settings.sink, flush_rows=1_234))
        async with running_sink(again) as sink:
            await publish_events(publisher, "replayed", range(20_000, 20_100), settings.kafka.partitions)
            await until_stored(client, "replayed", range(20_100))
            assert sink.counters.values["rows_already_stored_total"] == 20_000
        by_hour = await client.query("SELECT sum(events) FROM events_by_hour WHERE sensor = 'replayed'")
        assert by_hour.result_rows == [(20_100,)]


@pytest.mark.slow
async def test_sinks_that_join_and_leave_under_load_lose_nothing_and_double_nothing(
    settings: Settings, sensor: str
) -> None:
    settings = msgspec.structs.replace(settings, sink=msgspec.structs.replace(settings.sink, flush_rows=500))
    published = 0

    async def load(publisher: Publisher, stop: asyncio.Event) -> None:
        nonlocal published
        while not stop.is_set():
            await publish_events(publisher, sensor, range(published, published + 400), settings.kafka.partitions)
            published += 400
            await asyncio.sleep(0.05)

    async with Publisher(settings.kafka) as publisher, store(settings) as client:
        stop = asyncio.Event()
        loading = asyncio.create_task(load(publisher, stop))
        first, second, third = (Inside(settings, name) for name in ("first", "second", "third"))
        await first.start()
        await until_some(client, sensor, 1)
        await second.start()
        await asyncio.sleep(4)
        await first.end()
        await third.start()
        await asyncio.sleep(4)
        await second.end()
        stop.set()
        await loading
        await until_stored(client, sensor, range(published), 40)
        await third.end()


async def until_some(client: AsyncClient, sensor: str, count: int) -> None:
    async def some() -> bool:
        return len(await numbers_of(client, sensor)) >= count

    await until(f"{count} rows of {sensor}", some)


@pytest.mark.slow
async def test_a_sink_that_is_killed_between_insert_and_commit_doubles_nothing(settings: Settings, sensor: str) -> None:
    settings = msgspec.structs.replace(settings, sink=msgspec.structs.replace(settings.sink, flush_rows=300))
    async with Publisher(settings.kafka) as publisher, store(settings) as client:
        await publish_events(publisher, sensor, range(60_000), settings.kafka.partitions)
        for least in (2_000, 20_000):
            sink = SinkProcess(settings)
            try:
                await until_some(client, sensor, least)
            finally:
                sink.kill()
        stored = len(await numbers_of(client, sensor))
        assert stored < 60_000, "the sinks were done before they were killed: the test says nothing"
        async with running_sink(settings) as sink_of_all:
            await until_stored(client, sensor, range(60_000), 60)

            async def settled() -> bool:
                return sink_of_all.heartbeat().lag() == 0

            await until("no lag", settled)


async def test_sigterm_settles_what_was_read_and_ends_with_zero(own_stack: Stack) -> None:
    settings = own_stack.settings
    async with Publisher(settings.kafka) as publisher, store(settings) as client:
        sink = SinkProcess(settings)
        try:
            await publish_events(publisher, "stopped", range(1000), settings.kafka.partitions)
            await until_some(client, "stopped", 1)
            code = await asyncio.to_thread(sink.terminate)
        finally:
            sink.process.kill()
        assert code == 0
        assert await committed(settings) == len(await numbers_of(client, "stopped"))


async def test_a_former_owner_is_refused_and_its_running_insert_is_ended(settings: Settings) -> None:
    place = Place(uuid.uuid4().hex, EVENTS, 0)
    former, present = Writer(settings.clickhouse), Writer(settings.clickhouse)
    rows = [sample_event(sensor=place.epoch, offset=offset, data="1") for offset in range(3)]
    mine = (await former.take_over([place]))[place]
    await former.insert(place, mine, rows, "0-2", 1_795_000_000_000)
    theirs = (await present.take_over([place]))[place]
    assert theirs > mine
    with pytest.raises(FencedError):
        await former.insert(place, mine, rows, "3-5", 1_795_000_000_000)
    assert await present.frontiers({place: 0}) == {place: 3}
    assert await present.frontiers({place: 7}) == {place: 7}
    assert await present.stored(place, 0, 9) == {(0, 0), (1, 0), (2, 0)}
    await former.close()
    await present.close()


async def test_an_insert_with_the_same_label_is_stored_once(settings: Settings) -> None:
    place = Place(uuid.uuid4().hex, EVENTS, 0)
    writer = Writer(settings.clickhouse)
    owner = (await writer.take_over([place]))[place]
    rows = [sample_event(sensor=place.epoch, offset=offset, data="1") for offset in range(60_000)]
    for _ in range(3):
        await writer.insert(place, owner, rows, "0-59999", 1_795_000_000_000)
    async with store(settings) as client:
        counts = await client.query(
            "SELECT count(), (SELECT sum(events) FROM events_by_hour WHERE sensor = {s:String}), "
            "uniqExact(_part) FROM events WHERE sensor = {s:String}",
            parameters={"s": place.epoch},
        )
        assert counts.result_rows == [(60_000, 60_000, 1)]
    await writer.close()


async def test_a_frozen_sink_that_wakes_up_is_fenced_and_comes_back(own_stack: Stack) -> None:
    """Another owner appears while the group still gives us the partitions: give up, ask again, go on."""
    settings = own_stack.settings
    async with (
        running_sink(settings) as sink,
        Publisher(settings.kafka) as publisher,
        store(settings) as client,
    ):
        await publish_events(publisher, "frozen", range(100), settings.kafka.partitions)
        await until_stored(client, "frozen", range(100))
        rival = Writer(settings.clickhouse)
        await rival.take_over([owned.place for owned in sink._owned.values()])
        await publish_events(publisher, "frozen", range(100, 200), settings.kafka.partitions)
        await until_stored(client, "frozen", range(200))
        assert sink.counters.values["inserts_fenced_total"] > 0
        await rival.close()


async def test_rows_that_clickhouse_refuses_are_dead_letters_and_their_neighbours_are_stored(own_stack: Stack) -> None:
    settings = own_stack.settings
    bad = (17, 500, 501)
    async with Publisher(settings.kafka) as publisher, store(settings) as client:
        # An operator's constraint stands for whatever ClickHouse may dislike about a row.
        await client.command(f"ALTER TABLE events ADD CONSTRAINT taste CHECK data NOT IN {tuple(map(str, bad))}")
        await publish_events(publisher, "refused", range(2000), settings.kafka.partitions)
        async with running_sink(settings) as sink:
            await until_stored(client, "refused", [number for number in range(2000) if number not in bad])
            # The neighbours are stored before the dead letters are written, and only then is anything counted.
            assert await committed_soon(settings, 2000)
            assert sink.counters.values["rows_refused_total"] == len(bad)
    letters = [letter async for letter in dead_letters(settings)]
    assert sorted(msgspec.json.decode(letter.value or b"")["data"] for letter in letters) == ["17", "500", "501"]
    assert {(letter.stage, letter.reason) for letter in letters} == {("sink", "refused_by_store")}


async def committed_soon(settings: Settings, total: int) -> bool:
    async def there() -> bool:
        return await committed(settings) == total

    await until(f"{total} offsets committed", there)
    return True


@pytest.mark.slow
async def test_a_sink_that_is_frozen_with_full_hands_doubles_nothing_when_it_wakes_up(
    settings: Settings, sensor: str
) -> None:
    """SIGSTOP for longer than three session timeouts: its partitions go to another sink, then it goes on."""
    small = msgspec.structs.replace(settings, sink=msgspec.structs.replace(settings.sink, flush_rows=300))
    async with Publisher(settings.kafka) as publisher, store(settings) as client:
        frozen = SinkProcess(small)
        try:
            await publish_events(publisher, sensor, range(20_000), settings.kafka.partitions)
            await until_some(client, sensor, 1_000)
            frozen.process.send_signal(signal.SIGSTOP)
            assert len(await numbers_of(client, sensor)) < 20_000, "the sink was done before it was frozen"
            async with running_sink(small, "heir"):
                await until_stored(client, sensor, range(20_000), 60)
                await asyncio.sleep(settings.kafka.session_timeout)
                frozen.process.send_signal(signal.SIGCONT)
                await publish_events(publisher, sensor, range(20_000, 25_000), settings.kafka.partitions)
                await until_stored(client, sensor, range(25_000), 60)
                await asyncio.sleep(1)
                assert await numbers_of(client, sensor) == list(range(25_000))
        finally:
            frozen.process.send_signal(signal.SIGCONT)
            frozen.kill()


async def test_the_sink_says_each_second_where_it_stands(settings: Settings, sensor: str) -> None:
    sink = SinkProcess(settings)
    try:
        async with Publisher(settings.kafka) as publisher, store(settings) as client:
            await publish_events(publisher, sensor, range(10), settings.kafka.partitions)
            await until_stored(client, sensor, range(10))

            async def says_so() -> bool:
                beats = []
                async for _, records in read_history(settings.kafka, {TopicPartition(HEALTH, 0): 0}):
                    beats += [msgspec.json.decode(record.value or b"", type=Heartbeat) for record in records]
                mine = [b for b in beats if b.component == "sink" and b.instance.endswith(f"-{sink.process.pid}")]
                return bool(mine) and mine[-1].generation > 0 and mine[-1].lag() == 0 and len(mine[-1].partitions) > 4

            await until("a heartbeat in a generation, without lag", says_so)
    finally:
        assert sink.terminate() == 0


@pytest.mark.slow
async def test_without_clickhouse_reading_stops_and_nothing_is_lost_when_it_is_back(own_stack: Stack) -> None:
    """ClickHouse goes away: the sink stays in its group, holds no more than allowed, then stores all."""
    right = own_stack.settings
    gate = Gate(right.clickhouse.url.removeprefix("http://"))
    await gate.open()
    settings = msgspec.structs.replace(
        right,
        clickhouse=msgspec.structs.replace(right.clickhouse, url=f"http://127.0.0.1:{gate.port}"),
        sink=msgspec.structs.replace(right.sink, flush_rows=1000),
    )
    async with (
        running_sink(settings) as sink,
        Publisher(settings.kafka) as publisher,
        store(right) as client,
    ):
        await publish_events(publisher, "away", range(100), settings.kafka.partitions)
        await until_stored(client, "away", range(100))
        gate.broken = True
        await publish_events(publisher, "away", range(100, 60_000), settings.kafka.partitions)
        generation = sink._consumer.generation
        # Longer than the session timeout: who does not heartbeat meanwhile is thrown out of the group.
        ends = time.monotonic() + 2 * settings.kafka.session_timeout
        while time.monotonic() < ends:
            await asyncio.sleep(0.2)
            # Per partition a block that waits, and what one poll may bring on top.
            assert sum(len(owned.spool) for owned in sink._owned.values()) <= settings.kafka.partitions * 6_000
        assert sink.heartbeat().message != ""
        gate.broken = False
        await until_stored(client, "away", range(60_000), 60)
        assert sink._consumer.generation == generation
    await gate.close()


class Gate:
    """A proxy in front of ClickHouse; ``broken`` cuts every connection after the request was passed on."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.partition(":")
        self._target_port = int(port)
        self.broken = False
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._target_port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, answers: bool) -> None:
            try:
                while data := await source.read(65_536):
                    if answers and self.broken:
                        break
                    sink.write(data)
                    await sink.drain()
            except ConnectionError:
                pass
            finally:
                sink.close()

        await asyncio.gather(pump(reader, up_writer, False), pump(up_reader, writer, True))
