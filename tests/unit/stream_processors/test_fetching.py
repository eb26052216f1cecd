"""The thread that fetches, without a broker."""

import time
from types import SimpleNamespace

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from stream_processors.fetching import BatchThread


async def test_a_partition_that_is_being_placed_at_its_beginning_ends_no_worker() -> None:
    consumer = AIOKafkaConsumer(enable_auto_commit=False)
    place = TopicPartition("connections", 0)
    consumer._subscription.assign_from_user([place])
    consumer._subscription.subscription.assignment.state_value(place).await_reset("earliest")
    thread = object.__new__(BatchThread)
    thread._consumer = consumer
    thread.time_started = time.monotonic()
    app = SimpleNamespace(monitor=object(), topics=SimpleNamespace(acks_enabled_for=lambda topic: True))
    thread.consumer = SimpleNamespace(app=app)
    thread.verify_event_path(time.monotonic(), TP(*place))
    await consumer.stop()
