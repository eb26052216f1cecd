"""The thread that talks to Kafka for the batch consumer: fetch, commit with epochs, place positions."""

from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from producers.kafka.embedded_groups import as_member
from producers.kafka.message import isolation_level
from producers.kafka.stopping import stop_consumer

log = structlog.get_logger()


class BatchThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread with aiokafka's consumer. The coroutines here run in it, by ``call_thread``."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust hard-codes 1,500 ms, and the embedded broker answers at half of it; 100 ms bring a record to the
        # agent in 27 to 55 ms.
        kafka = self.consumer.intake.settings.kafka
        consumer._fetch_max_wait_ms = kafka.fetch_max_wait_ms
        # Faust knows it only together with transactions of its own.
        consumer._isolation_level = isolation_level(kafka)
        return as_member(consumer, kafka)

    async def on_thread_stop(self) -> None:
        """As Faust's, but for the way the consumer is stopped."""
        await super(driver.AIOKafkaConsumerThread, self).on_thread_stop()
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    async def fetch_committed(self, tps: set[TP]) -> dict[TP, OffsetAndMetadata]:
        """Committed offsets with the epoch that was written beside them. Raises KafkaError."""
        coordinator = self._ensure_consumer()._coordinator
        found = await coordinator.fetch_committed_offsets([TopicPartition(*tp) for tp in tps])
        return {ensure_TP(tp): committed for tp, committed in found.items()}

    async def place(self, positions: Mapping[TP, int | None]) -> None:
        """Read on at these offsets; None is the beginning of the log."""
        consumer = self._ensure_consumer()
        beginnings = []
        for tp, offset in positions.items():
            partition = TopicPartition(*tp)
            if offset is None:
                beginnings.append(partition)
            else:
                consumer.seek(partition, offset)
        if beginnings:
            await consumer.seek_to_beginning(*beginnings)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        epochs = self.consumer.intake.epochs
        try:
            await consumer.commit(
                {
                    TopicPartition(*tp): OffsetAndMetadata(offset, epochs.get(tp.topic, ""))
                    for tp, offset in offsets.items()
                }
            )
        except (CommitFailedError, IllegalStateError):
            # The group has rebalanced: whoever has the partitions now reads these records again.
            return False
        except KafkaError as error:
            log.warning("commit failed, it will be repeated", error=repr(error))
            return False
        return True

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust looks here for streams that stand still; ours say so in the heartbeat. Its look ends the worker when a
        partition has no position for the moment, as all have that are being placed at their beginning."""

    def marks(self) -> dict[TP, tuple[int | None, int | None]]:
        """Per assigned partition: fetch position and the high-water mark of the last fetch, None before one."""
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return {}
        states = {tp: subscription.assignment.state_value(tp) for tp in subscription.assignment.tps}
        return {ensure_TP(tp): (state._position, state.highwater) for tp, state in states.items() if state is not None}
