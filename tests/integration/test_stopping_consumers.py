"""A consumer is stopped while its broker is away, or while its group forms."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.protocol.group import JoinGroupRequest, LeaveGroupRequest

from deploy.addresses import Address
from deploy.child import Child
from deploy.embedded.broker import broker_answers, prepare_broker
from producers.kafka.embedded_groups import as_member
from producers.kafka.stopping import stop_consumer
from schemas.settings import Kafka
from tests.stack import free_port
from tests.up_process import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[Child, str]]:
    """An embedded broker of its own, and its address."""
    address = Address("127.0.0.1", free_port())
    child = prepare_broker(address, tmp_path)
    child.start()
    try:
        wait_for("the broker", lambda: broker_answers(address), child.output)
        yield child, str(address)
    finally:
        child.kill()
        child.wait(10)


def in_group(kafka: Kafka) -> AIOKafkaConsumer:
    milliseconds = int(kafka.session_timeout * 1000)
    return AIOKafkaConsumer(
        "any",
        bootstrap_servers=kafka.bootstrap,
        group_id="any",
        session_timeout_ms=milliseconds,
        rebalance_timeout_ms=milliseconds,
        heartbeat_interval_ms=int(kafka.heartbeat_interval * 1000),
    )


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_fetch_that_waits_after_an_error_does_not_end_the_task_that_stops_its_consumer(
    broker: tuple[Child, str], caplog: pytest.LogCaptureFixture, cancelled: bool
) -> None:
    child, address = broker
    consumer = AIOKafkaConsumer(bootstrap_servers=address, retry_backoff_ms=30_000)
    await consumer.start()
    consumer.assign([TopicPartition("any", 0)])
    consumer.seek(TopicPartition("any", 0), 0)
    async with asyncio.timeout(60):
        while consumer.highwater(TopicPartition("any", 0)) is None:
            await consumer.getmany(timeout_ms=100)
        child.kill()
        while "Failed fetch messages" not in caplog.text:  # noqa: ASYNC110 - nobody calls back
            await asyncio.sleep(0.05)

    async def work() -> None:
        try:
            if cancelled:
                await asyncio.sleep(60)
        finally:
            await stop_consumer(consumer)

    working = asyncio.create_task(work())
    if cancelled:
        await asyncio.sleep(0)
        working.cancel()
    await asyncio.wait([working], timeout=10)
    assert working.done() and working.cancelled() == cancelled
    assert not any(connection.connected() for connection in consumer._client._conns.values())
    assert consumer._client._sync_task is None, "its metadata task runs on"


async def test_a_group_that_waits_for_a_leader_that_is_gone_gets_one(broker: tuple[Child, str]) -> None:
    kafka = Kafka(bootstrap=broker[1])
    await lead_and_leave(kafka)
    member = as_member(in_group(kafka), kafka)
    try:
        async with asyncio.timeout(90):
            await member.start()
            while not member.assignment():
                await member.getmany(timeout_ms=100)
    finally:
        await stop_consumer(member)


async def test_a_member_does_not_say_that_it_leaves(broker: tuple[Child, str], monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = Kafka(bootstrap=broker[1])
    member = as_member(in_group(kafka), kafka)
    await member.start()
    # Of the first generation, which is 0 there, aiokafka does not take its leave.
    member._coordinator.generation = 1
    sent: list[str] = []
    send = member._client.send

    async def noted(node: int, request: Any, **options: Any) -> Any:
        sent.append(type(request).__name__)
        return await send(node, request, **options)

    monkeypatch.setattr(member._client, "send", noted)
    await stop_consumer(member)
    assert "LeaveGroupRequest" not in sent


async def lead_and_leave(kafka: Kafka) -> None:
    """Be the first of a group, which leads it, and leave before it has formed."""
    client = AIOKafkaClient(bootstrap_servers=kafka.bootstrap)
    await client.bootstrap()
    try:
        node = await client.coordinator_lookup(CoordinationType.GROUP, "any")
        protocol = [("roundrobin", RoundRobinPartitionAssignor.metadata({"any"}).encode())]
        name = ""
        for _ in range(2):
            request = JoinGroupRequest("any", 3000, 3000, name, None, "consumer", protocol)
            joined = await client.send(node, request, group=ConnectionGroup.COORDINATION)
            name = joined.member_id
        assert joined.leader_id == name
        await client.send(node, LeaveGroupRequest("any", name), group=ConnectionGroup.COORDINATION)
    finally:
        await client.close()
