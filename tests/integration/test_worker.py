"""The worker process: records in, sessions out, whatever happens to the process meanwhile."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import msgspec
import pytest

from producers.kafka.publisher import Publisher, partition_of
from schemas import topics
from schemas.dead_letters import DeadLetter, Reason, Stage
from schemas.health import Heartbeat
from schemas.records import Action, Connection, EndReason, Event, Session, State, session_key
from schemas.settings import DeadLetters, Settings
from schemas.times import SECOND, rfc3339
from tests.stack import Stack, chosen_stack
from tests.workers import Workers, heartbeats, messages, sessions_of, until, workers_of

pytestmark = pytest.mark.integration

RECORDING = Path(__file__).parents[2] / "deploy/demo/cowrie-live.json"
START = 1_795_309_000 * SECOND


@pytest.fixture(scope="module")
def quiet_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Servers that only this module's workers use: they share one consumer group."""
    with chosen_stack(request.config.getoption("--stack")) as stack:
        yield stack


@pytest.fixture
def settings(quiet_stack: Stack) -> Settings:
    return quiet_stack.settings


@pytest.fixture
def workers(settings: Settings) -> Iterator[Workers]:
    with workers_of(settings) as workers:
        yield workers


def wire(record: Event | Connection) -> bytes:
    """As a sensor writes it: times as text."""
    fields = msgspec.to_builtins(record)
    fields["time"] = rfc3339(record.time)
    return msgspec.json.encode(fields)


def connect(sensor: str, session: str, at: int) -> Connection:
    return Connection(
        action=Action.CONNECT,
        sensor=sensor,
        time=START + at * SECOND,
        session_id=session,
        protocol="ssh",
        client_ip="198.51.100.1",
        client_port=4000,
        server_ip="192.0.2.1",
        server_port=22,
    )


def disconnect(sensor: str, session: str, at: int) -> Connection:
    return msgspec.structs.replace(connect(sensor, session, at), action=Action.DISCONNECT)


async def publish(settings: Settings, *records: Event | Connection) -> None:
    async with Publisher(settings.kafka) as publisher:
        futures = []
        for record in records:
            topic = topics.EVENTS if isinstance(record, Event) else topics.CONNECTIONS_IN
            futures.append(await publisher.send(topic, session_key(record) or None, wire(record)))
        await asyncio.gather(*futures)


async def until_sessions(settings: Settings, workers: Workers, sensor: str, expected: int, closed: bool = True) -> None:
    seen: dict[str, Session] = {}

    async def there() -> bool:
        seen.clear()
        seen.update(await sessions_of(settings, sensor))
        return (
            sum(not closed or (session.state is State.CLOSED and not session.held) for session in seen.values())
            >= expected
        )

    await until(there, 60, lambda: f"{len(seen)} of {expected} sessions of {sensor}\n{workers.logs()}")


async def test_the_recording_becomes_its_eight_sessions(settings: Settings, workers: Workers) -> None:
    lines = [line for line in RECORDING.read_bytes().splitlines() if line.strip()]
    life = uuid.uuid4().hex[:6]
    sensor = f"cowrie-{life}"
    order: list[str] = []
    async with Publisher(settings.kafka) as publisher:
        for line in lines:
            fields = msgspec.json.decode(line)
            fields["sensor"] = sensor
            if fields["session"] not in order:
                order.append(fields["session"])
            value = msgspec.json.encode(fields)
            await publisher.send(topics.native_topic("cowrie"), fields["session"].encode(), value)
        await publisher.flush()
    workers.start()
    await until_sessions(settings, workers, sensor, 8)
    found = await sessions_of(settings, sensor)
    assert [found[name].event_count for name in order] == [5, 16, 9, 6, 3, 8, 10, 10]
    assert all(session.end_reason is EndReason.DISCONNECT and session.client_ip for session in found.values())
    durations = {
        fields["session"]: fields["duration_ms"]
        for fields in map(msgspec.json.decode, lines)
        if fields["eventid"] == "cowrie.session.closed"
    }
    for name, session in found.items():
        assert session.duration is not None
        assert abs(session.duration * 1000 - durations[name]) <= 5


async def test_what_cannot_be_decoded_is_a_dead_letter_and_holds_nothing_up(
    settings: Settings, workers: Workers, sensor: str
) -> None:
    poison = f"{{broken {sensor}".encode()
    async with Publisher(settings.kafka) as publisher:
        await (await publisher.send(topics.CONNECTIONS_IN, b"k", poison))
        await (await publisher.send(topics.CONNECTIONS, b"k", poison))
    workers.start()
    await publish(settings, connect(sensor, "after", 0), disconnect(sensor, "after", 5))
    await until_sessions(settings, workers, sensor, 1)
    letters = [
        msgspec.json.decode(message.value, type=DeadLetter)
        for message in await messages(settings, topics.DEAD_LETTERS)
        if message.value is not None
    ]
    mine = {(letter.stage, letter.topic): letter for letter in letters if letter.value == poison}
    assert set(mine) == {(Stage.ROUTE, topics.CONNECTIONS_IN), (Stage.SESSIONIZE, topics.CONNECTIONS)}
    assert mine[Stage.ROUTE, topics.CONNECTIONS_IN].reason is Reason.NOT_JSON
    keys = [letter.message_key() for letter in letters if letter.value == poison]
    assert len(set(keys)) == len(keys) == 2


async def test_a_session_open_at_a_kill_pairs_with_its_disconnect_afterwards(
    settings: Settings, workers: Workers, sensor: str
) -> None:
    first = workers.start()
    await publish(settings, connect(sensor, "long", 0), Event(sensor=sensor, time=START + SECOND, session_id="long"))
    await until_sessions(settings, workers, sensor, 1, closed=False)
    first.kill()
    await publish(settings, disconnect(sensor, "long", 90))
    workers.start()
    await until_sessions(settings, workers, sensor, 1)
    found = await sessions_of(settings, sensor)
    assert list(found) == ["long"]
    assert found["long"].end_reason is EndReason.DISCONNECT
    assert found["long"].duration == 90.0
    assert found["long"].event_count == 3


async def test_a_session_that_only_clickhouse_knows_pairs_with_its_disconnect(
    settings: Settings, workers: Workers, sensor: str
) -> None:
    store = settings.clickhouse
    client = clickhouse_connect.get_client(dsn=store.url, username=store.writer, password=store.writer_password)
    key = session_key(connect(sensor, "stored", 0)).decode()
    try:
        client.command(
            f"INSERT INTO {store.database}.sessions"
            " (session_id, sensor, key, state, started_at, last_activity_at, protocol, event_count, revision, version,"
            " created_at, modified_at, ingested_at, positions, duration_quality)"
            " SELECT {id:String}, {sensor:String}, {key:String}, 'open',"
            " fromUnixTimestamp64Micro({start:Int64}, 'UTC') AS start, start, 'ssh', 2, {revision:UInt64}, 2,"
            " now64(6), now64(6), now64(3), map('old/sensor.events/0', 131072), 'unknown'",
            parameters={
                "id": "stored",
                "sensor": sensor,
                "key": key,
                "start": START,
                "revision": (1 << 56) | START,
            },
        )
    finally:
        client.close()
    workers.start()
    await publish(settings, disconnect(sensor, "stored", 30))
    await until_sessions(settings, workers, sensor, 1)
    session = (await sessions_of(settings, sensor))["stored"]
    assert session.end_reason is EndReason.DISCONNECT
    assert session.duration == 30.0
    assert session.event_count == 3
    assert session.positions["old/sensor.events/0"] == 131072


async def test_a_disconnect_before_its_connect_is_read_again_after_a_kill(
    settings: Settings, workers: Workers, sensor: str
) -> None:
    first = workers.start()
    await publish(settings, connect(sensor, "other", 0), disconnect(sensor, "turned", 20))
    await until_sessions(settings, workers, sensor, 1, closed=False)
    # A second record of the same partition has been applied and committed as far as the held one allows.
    await asyncio.sleep(2 * settings.kafka.commit_interval)
    first.kill()
    await publish(settings, connect(sensor, "turned", 10))
    workers.start()
    await until_sessions(settings, workers, sensor, 1)
    assert (await sessions_of(settings, sensor))["turned"].duration == 10.0


async def test_a_bug_ends_the_process_and_the_batch_is_read_again(
    settings: Settings, workers: Workers, sensor: str
) -> None:
    broken = workers.start("tests.broken_worker")
    await publish(settings, connect(sensor, "unlucky", 0), disconnect(sensor, "unlucky", 7))
    assert broken.wait(40) == 1
    assert "ZeroDivisionError" in broken.log()
    workers.start()
    await until_sessions(settings, workers, sensor, 1)
    assert (await sessions_of(settings, sensor))["unlucky"].duration == 7.0


async def test_too_many_bad_records_end_the_worker_loudly_and_a_raised_limit_goes_on(
    settings: Settings, workers: Workers, sensor: str
) -> None:
    strict = msgspec.structs.replace(settings, dead_letters=DeadLetters(max_consecutive=20))
    workers.settings = strict
    key = sensor.encode()
    bad = [b'{"sensor":"%s","time":"never %d"}' % (key, number) for number in range(50)]
    items = [(key, one, ()) for one in bad]
    async with Publisher(settings.kafka) as publisher:
        partition = partition_of(key, settings.kafka.partitions)
        await asyncio.gather(*await publisher.send_batch(topics.EVENTS, partition, items[:20]))
        worker = workers.start()

        async def letters() -> int:
            found = [m for m in await messages(settings, topics.DEAD_LETTERS) if m.value is not None]
            return len({m.key for m in found if msgspec.json.decode(m.value or b"", type=DeadLetter).key == key})

        async def written(count: int) -> bool:
            return await letters() == count

        await until(lambda: written(20), 60, workers.logs)
        assert worker.running, "twenty are allowed"
        await asyncio.gather(*await publisher.send_batch(topics.EVENTS, partition, items[20:]))
        assert worker.wait(60) == 65
    said = worker.log().splitlines()[-1]
    start = f"{topics.EVENTS}/{partition}: 50 records in a row cannot be used, dead_letters.max_consecutive is 20; "
    assert said.startswith(start)
    assert "the last is bad_time at offset" in said
    # The letters of the last batch are there to be looked at, and a worker that is allowed more goes on behind them.
    assert await letters() == 50
    beats = [one for one in (await heartbeats(settings)).values() if str(worker.pid) in one.instance]
    assert beats[0].message == f"ended: {said}"
    assert beats[0].counters["bad_records_limits_total"] == 1
    workers.settings = settings
    workers.start()
    await publish(settings, connect(sensor, "after", 0), disconnect(sensor, "after", 3))
    await until_sessions(settings, workers, sensor, 1)
    assert await letters() == 50


async def generate(settings: Settings, sensor: str, sessions: int, pace: float) -> None:
    """Sessions of three records each, many open at once; ``pace`` is the pause after each hundred."""
    async with Publisher(settings.kafka) as publisher:
        window = 200
        for number in range(sessions + window):
            if number < sessions:
                name = f"s{number:06d}"
                record = connect(sensor, name, number)
                await publisher.send(topics.CONNECTIONS_IN, session_key(record), wire(record))
            if 0 <= number - window // 2 < sessions:
                name = f"s{number - window // 2:06d}"
                seen = Event(sensor=sensor, time=START + number * SECOND, session_id=name, kind="command", data="ls")
                await publisher.send(topics.EVENTS, session_key(seen), wire(seen))
            if number >= window:
                record = disconnect(sensor, f"s{number - window:06d}", number)
                await publisher.send(topics.CONNECTIONS_IN, session_key(record), wire(record))
            if number % 100 == 0:
                await asyncio.sleep(pace)
        await publisher.flush()


async def until_exact(settings: Settings, workers: Workers, sensor: str, sessions: int) -> None:
    """Every session closed, as long as it lasted, and with each of its three events counted once."""
    wrong: list[object] = []

    async def exact() -> bool:
        found = await sessions_of(settings, sensor)
        wrong[:] = [
            (session.session_id, session.end_reason, session.duration, session.event_count)
            for session in found.values()
            if session.end_reason is not EndReason.DISCONNECT or session.duration != 200.0 or session.event_count != 3
        ]
        if len(found) != sessions:
            wrong.append(f"{len(found)} sessions")
        return not wrong

    await until(exact, 60, lambda: f"{len(wrong)} are wrong: {wrong[:5]}\n{workers.logs()}", pause=0.5)


@pytest.mark.slow
async def test_killed_twice_in_the_middle_every_session_is_exact(
    settings: Settings, workers: Workers, sensor: str
) -> None:
    worker = workers.start()
    source = asyncio.create_task(generate(settings, sensor, 12_000, 0.06))
    for enough in (2_000, 6_000):
        await until_sessions(settings, workers, sensor, enough)
        worker.kill()
        worker = workers.start()
    await source
    await until_exact(settings, workers, sensor, 12_000)


@pytest.mark.slow
async def test_workers_join_and_leave_without_reading_anything_twice(
    settings: Settings, workers: Workers, sensor: str
) -> None:
    before = set(await heartbeats(settings))
    partitions = settings.kafka.partitions * (len(topics.sensor_topics()) + 1)

    async def mine() -> list[Heartbeat]:
        return [beat for name, beat in (await heartbeats(settings)).items() if name not in before]

    async def settled(members: int) -> None:
        async def shared() -> bool:
            owners = [b for b in await mine() if b.generation >= 0 and b.partitions]
            return len(owners) == members and sum(len(b.partitions) for b in owners) == partitions

        await until(shared, 40, lambda: f"{members} workers never shared the partitions\n{workers.logs()}")

    async def at_the_end() -> bool:
        (beat,) = await mine()
        return all(p.highwater is not None and p.position >= p.highwater for p in beat.partitions)

    first = workers.start()
    await settled(1)
    # What a worker of another test had read and not committed when it was killed.
    await until(at_the_end, 60, workers.logs)
    left_over = sum(beat.counters.get("records_decoded_total", 0) for beat in await mine())
    source = asyncio.create_task(generate(settings, sensor, 12_000, 0.1))
    second = workers.start()
    await settled(2)
    assert first.stop() == 0
    await settled(1)
    third = workers.start()
    await settled(2)
    await source
    await until_exact(settings, workers, sensor, 12_000)
    assert second.stop() == 0
    assert third.stop() == 0
    # Each record was decoded once: nothing was read twice at joins and leaves. (Of `connections` more may be read
    # again, from the oldest record on that a machine holds.)
    decoded = {beat.instance: beat.counters.get("records_decoded_total", 0) for beat in await mine()}
    assert sum(decoded.values()) - left_over == 36_000, f"{decoded}, left over {left_over}\n{workers.logs()}"


async def test_a_stopped_worker_has_committed_everything(settings: Settings, workers: Workers, sensor: str) -> None:
    worker = workers.start()
    await publish(settings, *(connect(sensor, f"c{number}", number) for number in range(500)))
    await until_sessions(settings, workers, sensor, 500, closed=False)
    assert worker.stop() == 0
    before = set(await heartbeats(settings))
    workers.start()

    async def standing_at_the_end() -> bool:
        beats = [beat for name, beat in (await heartbeats(settings)).items() if name not in before]
        return any(
            beat.partitions and beat.generation >= 0 and all(p.highwater is not None for p in beat.partitions)
            for beat in beats
        )

    await until(standing_at_the_end, 30, workers.logs)
    (beat,) = [beat for name, beat in (await heartbeats(settings)).items() if name not in before]
    assert beat.counters.get("records_decoded_total", 0) == 0
    assert sum(p.position for p in beat.partitions if p.topic == topics.CONNECTIONS_IN) >= 500
