"""The gate before the embedded broker: what outsiders send waits, and arrives when it opens."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.addresses import Address
from deploy.child import Child
from deploy.embedded.broker import broker_answers, prepare_broker
from deploy.embedded.gate import Gate, GateError
from producers.kafka.publisher import Publisher
from schemas.settings import Kafka
from tests.stack import free_port
from tests.up_process import wait_for

pytestmark = pytest.mark.integration

ADDRESS = Address("127.0.0.1", free_port())


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Child]:
    child = prepare_broker(ADDRESS, tmp_path)
    child.start()
    try:
        wait_for("the broker to answer", lambda: broker_answers(ADDRESS), child.output)
        yield child
    finally:
        child.kill()
        child.wait(10)


def gate_of(broker: Child, ours: list[int]) -> Gate:
    gate = Gate(broker.pid or 0, ADDRESS.port, lambda: ours)
    try:
        gate.close()
    except GateError as error:
        pytest.skip(f"this system keeps a process's sockets from its parent: {error.strerror}")
    return gate


async def test_what_an_outsider_sends_waits_and_arrives_once_when_the_gate_opens(broker: Child) -> None:
    async with Publisher(Kafka(bootstrap=str(ADDRESS))) as publisher:
        await (await publisher.send("t", b"k", b"before", partition=0))
        gate = gate_of(broker, [])
        held = await publisher.send("t", b"k", b"held", partition=0)
        assert not await asyncio.to_thread(broker_answers, ADDRESS, 0.5), "nor does a new connection reach it"
        assert not held.done()
        gate.open()
        assert (await asyncio.wait_for(held, 60)).offset == 1
        assert (await (await publisher.send("t", b"k", b"after", partition=0))).offset == 2


async def test_connections_of_our_own_processes_pass_old_ones_and_new_ones(broker: Child) -> None:
    async with Publisher(Kafka(bootstrap=str(ADDRESS))) as publisher:
        await (await publisher.send("t", b"k", b"before", partition=0))
        gate = gate_of(broker, [os.getpid()])
        await asyncio.wait_for(await publisher.send("t", b"k", b"through", partition=0), 60)
        assert await asyncio.to_thread(broker_answers, ADDRESS, 30.0)
        gate.open()


async def test_where_the_sockets_cannot_be_had_it_says_so(broker: Child) -> None:
    gone = Gate(broker.pid or 0, ADDRESS.port, list)
    broker.kill()
    broker.wait(10)
    with pytest.raises(GateError):
        gone.close()
    assert not gone.closed
