"""Live clients while Apache Kafka goes and comes back. Skipped, with the reason, where Kafka cannot run."""

import pytest
from aiokafka import AIOKafkaProducer

from tests.conformance.conftest import Apis, apis
from tests.conformance.live import connected, sensor_of, streaming
from tests.stack import Stack

__all__ = ["apis"]

pytestmark = [pytest.mark.integration, pytest.mark.slow]


async def test_clients_stay_while_kafka_is_away_and_get_everything_when_it_is_back(
    kafka_stack: Stack, apis: Apis, sensor: str
) -> None:
    assert kafka_stack.apache is not None
    settings = kafka_stack.settings
    api = await apis.start(settings)
    path = f"/events/stream?sensors=^{sensor}$"
    async with connected(api) as client, streaming(api, path) as stream:
        begin = await stream.placed()
        async with sensor_of(settings, sensor) as publishing:
            await publishing.events("before")
        await client.until(lambda found: len(found.of(sensor)) == 1)
        assert (await stream.row())["data"] == "before"
        kafka_stack.apache.kill()
        try:
            # Replies come from ClickHouse; who comes now is let in, and who comes back, too.
            reply = await client.reply({"type": 3, "payload": {"sensors": [f"^{sensor}$"]}})
            assert reply["type"] == 4
            async with connected(api) as late, streaming(api, path, begin) as back:
                assert (await late.reply({"type": 20}))["type"] == 7
                kafka_stack.apache.start()
                async with sensor_of(settings, sensor) as publishing:
                    await publishing.events("after")
                for each in (client, late):
                    await each.until(lambda found: "after" in [row["data"] for row in found.of(sensor)])
                assert [row["data"] for row in client.of(sensor)] == ["before", "after"]
                assert (await stream.row())["data"] == "after"
                assert [(await back.row())["data"] for _ in range(2)] == ["before", "after"]
                assert (client.lost, stream.lost, back.lost) == (0, 0, 0)
        finally:
            if not kafka_stack.apache.child.running:
                kafka_stack.apache.start()


async def test_what_transactions_and_compaction_leave_out_is_not_waited_for(
    kafka_stack: Stack, apis: Apis, sensor: str
) -> None:
    settings = kafka_stack.settings
    api = await apis.start(settings)
    path = f"/events/stream?sensors=^{sensor}$"
    async with streaming(api, path) as stream:
        last = await stream.placed()
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, transactional_id=f"sensor-{sensor}")
    await producer.start()
    for commit in (True, False):
        await producer.begin_transaction()
        said = b"yes" if commit else b"no"
        record = b'{"sensor":"%b","time":1,"kind":"command","data":"%b"}' % (sensor.encode(), said)
        await producer.send_and_wait("sensor.events", record, partition=3)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    await producer.stop()
    async with streaming(api, path, last) as stream, sensor_of(settings, sensor) as publishing:
        assert (await stream.row())["data"] == "yes"
        await publishing.events("live")
        assert (await stream.row())["data"] == "live"
