"""A sensor whose records have no key is spread over all partitions: one that stands still must not change a session."""

import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from schemas.records import Connection, EndReason
from schemas.times import MINUTE, SECOND
from stream_processors.ticks import SourceClock, due_ticks
from tests.comparing import rows
from tests.unit.stream_processors.machine import Machine, activity, at, connect, disconnect

PARTITIONS = 12
PAUSED = 7
#: Minutes of event time: the whole, and how long one partition is not read.
WHOLE, PAUSE = 240, range(60, 120)


def logs() -> list[list[Connection]]:
    """Sessions with and without ids, each record in any partition; every partition in order of time."""
    chance = random.Random(12)
    made: list[list[Connection]] = [[] for _ in range(PARTITIONS)]
    for number in range(200):
        start = at(0) + chance.randrange(200 * MINUTE)
        fields: dict[str, Any] = {"protocol": chance.choice(("tcp", "ssh", "udp")), "client_port": 1024 + number}
        name = f"s{number}" if number % 2 else ""
        moments = [start]
        for _ in range(chance.randrange(6)):
            # Some gaps are beyond an idle limit, most are not.
            moments.append(moments[-1] + chance.randrange(1, 7 * MINUTE))
        say = [connect, *[activity] * (len(moments) - 2), *([disconnect] if len(moments) > 1 else [])]
        for index, (make, time) in enumerate(zip(say, moments, strict=True)):
            log = chance.randrange(PARTITIONS)
            record_id = f"{number}/{index}"
            made[log].append(make(time, name, record_id=record_id, source=f"e/t/{log}", **fields))
    for log, records in enumerate(made):
        records.sort(key=lambda record: record.time)
        made[log] = [msgspec.structs.replace(record, positions=[offset << 16]) for offset, record in enumerate(records)]
    return made


def run(pause: Iterable[int], *, honest: bool = True) -> Machine:
    """A minute at a time, as route and sessionize see it. Without ``honest`` the paused one claims to be at its end."""
    machine, waiting = Machine(), [list(reversed(log)) for log in logs()]
    clocks = [SourceClock(f"e/t/{number}") for number in range(PARTITIONS)]
    for minute in range(WHOLE):
        for number, log in enumerate(waiting):
            if number == PAUSED and minute in pause:
                continue
            while log and log[-1].time <= at(0) + minute * MINUTE:
                record = log.pop()
                machine.feed(record)
                clocks[number].observe({record.sensor: [record.time]})
        behind = minute in pause and honest
        machine.now += 30 * SECOND
        for tick in due_ticks((clock, not (behind and number == PAUSED)) for number, clock in enumerate(clocks)):
            machine.machine.tick(tick, machine.now)
        machine.feed()
    # Every partition knows the end of it all.
    return machine.reach(at(50), after=5 * MINUTE)


def test_one_of_twelve_partitions_that_is_an_hour_behind_changes_no_session() -> None:
    whole = run(())
    assert {session.end_reason for session in whole.sessions} >= {EndReason.DISCONNECT, EndReason.IDLE_TIMEOUT}
    assert rows(run(PAUSE).sessions) == rows(whole.sessions)


def test_it_would_if_ticks_did_not_say_that_it_is_behind() -> None:
    with pytest.raises(AssertionError):
        assert rows(run(PAUSE, honest=False).sessions) == rows(run(()).sessions)
