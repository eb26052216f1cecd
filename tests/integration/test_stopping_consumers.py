"""A consumer is stopped while its broker is away."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.addresses import Address
from deploy.embedded.broker import broker_answers, prepare_broker
from producers.kafka.stopping import stop_consumer
from tests.stack import free_port
from tests.up_process import wait_for

pytestmark = pytest.mark.integration


async def test_a_fetch_that_waits_after_an_error_does_not_end_the_task_that_stops_its_consumer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = Address("127.0.0.1", free_port())
    broker = prepare_broker(address, tmp_path)
    broker.start()
    try:
        await asyncio.to_thread(wait_for, "the broker", lambda: broker_answers(address), broker.output)
        consumer = AIOKafkaConsumer(bootstrap_servers=str(address), retry_backoff_ms=30_000)
        await consumer.start()
        consumer.assign([TopicPartition("any", 0)])
        consumer.seek(TopicPartition("any", 0), 0)
        # A few fetches, so that one is under way when the broker dies.
        await consumer.getmany(timeout_ms=500)
    finally:
        broker.kill()
        broker.wait(10)
    async with asyncio.timeout(10):
        while "Failed fetch messages" not in caplog.text:  # noqa: ASYNC110 - nobody calls back
            await asyncio.sleep(0.05)
    stopping = asyncio.create_task(stop_consumer(consumer))
    await asyncio.wait([stopping], timeout=10)
    assert stopping.done() and not stopping.cancelled()
    assert not any(connection.connected() for connection in consumer._client._conns.values())
    assert consumer._client._sync_task is None, "its metadata task runs on"
