"""What a worker may commit when Kafka does not take what its machines have decided."""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
from aiokafka.errors import KafkaConnectionError
from faust.types import TP
from structlog.testing import capture_logs

from schemas import topics
from schemas.metrics import Counters
from schemas.records import Connection, session_key
from schemas.settings import Settings
from stream_processors.intake import Intake, RecordBatch
from stream_processors.machine.forgotten import Forgotten
from stream_processors.machine.limits import limits_of
from stream_processors.machine.sessionizer import Sessionizer
from stream_processors.sessionize import Owned, Sessions
from tests.unit.stream_processors.machine import at, connect

KEY = b'["s","a"]'


def message(record: Connection, offset: int) -> Any:
    """As it comes from ``connections``."""
    return SimpleNamespace(
        key=session_key(record), value=msgspec.json.encode(record), offset=offset, timestamp=0, headers=()
    )


class BrokerAway:
    """Takes nothing."""

    async def send_batch(self, *_: Any) -> list[Any]:
        raise KafkaConnectionError("away")


def forgetful(settings: Settings) -> Sessionizer:
    """A machine that has forgotten a session, and holds a fact about it at offset 7 until a store has answered."""
    machine = Sessionizer(limits_of(settings.sessions), lookups=True)
    machine.apply(KEY, Connection(action="annotate", sensor="s", session_id="a", time=at(10), user="root"), at(10), 7)  # type: ignore[arg-type]
    assert machine.oldest_held == 7
    return machine


async def test_what_was_released_by_an_answer_stays_held_while_its_versions_are_not_on_the_topic() -> None:
    settings = Settings()
    sessions = Sessions(Intake(settings, Counters()), BrokerAway(), Counters())  # type: ignore[arg-type]
    owned = sessions.owned[3] = Owned(forgetful(settings), 1)
    known = Sessionizer(limits_of(settings.sessions))
    known.apply(KEY, connect(at(9)), at(9))
    answers = iter((True, False))
    await sessions.resolve(3, {KEY: known.take_changes()}, [], lambda: next(answers, False))
    assert owned.machine.oldest_held is None
    assert owned.floor() == 7
    assert sessions.keep({3}, {1}) == set()


async def test_a_partition_that_went_elsewhere_has_nothing_to_wait_for() -> None:
    await Sessions(Intake(Settings(), Counters()), BrokerAway(), Counters()).delivered(5, lambda: True)  # type: ignore[arg-type]


def test_sessions_that_are_evicted_are_logged_and_counted() -> None:
    settings = Settings(sessions=msgspec.structs.replace(Settings().sessions, max_open=2))
    counters = Counters()
    intake = Intake(settings, counters)
    intake.epochs = {topics.CONNECTIONS: "e"}
    sessions = Sessions(intake, BrokerAway(), counters)  # type: ignore[arg-type]
    sessions.owned[0] = Owned(Sessionizer(limits_of(settings.sessions), lookups=True), 1)
    records = [connect(at(10) + number, f"n{number}") for number in range(3)]
    messages = [message(one, number) for number, one in enumerate(records)]
    with capture_logs() as logs:
        sessions.plan(RecordBatch(TP(topics.CONNECTIONS, 0), messages, 1))
    assert [(one["log_level"], one["count"]) for one in logs] == [("warning", 1)]
    assert counters.values["sessions_evicted_total"] == 1


async def test_the_worker_waits_while_too_many_records_wait_for_a_store() -> None:
    settings = Settings()
    sessions = Sessions(Intake(settings, Counters()), BrokerAway(), Counters())  # type: ignore[arg-type]
    forgotten = Forgotten()
    records = [connect(at(10), name) for name in ("a", "b")]
    forgotten.add(session_key(record) for record in records)
    limits = msgspec.structs.replace(limits_of(settings.sessions), max_waiting=2)
    machine = Sessionizer(limits, lookups=True, forgotten=forgotten)
    sessions.owned[0] = Owned(machine, 1)
    batch = RecordBatch(TP(topics.CONNECTIONS, 0), [message(connect(at(11), "c"), 2)], 1)
    machine.apply(session_key(records[0]), records[0], at(10), 0)
    assert await sessions.settle(batch, lambda: True)
    machine.apply(session_key(records[1]), records[1], at(10), 1)
    assert not await sessions.settle(batch, lambda: False)
    waiting = asyncio.create_task(sessions.settle(batch, lambda: True))
    await asyncio.sleep(0)
    assert not waiting.done()
    for key in machine.take_lookups(10):
        machine.resolve(key, [])
    assert await waiting
