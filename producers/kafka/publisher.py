"""The one way to write to Kafka: every replica acknowledges, nothing is compressed, keys choose partitions."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import lru_cache
from struct import unpack_from
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from schemas.settings import Kafka

Headers = Sequence[tuple[str, bytes]]
#: Key, value and headers of one message.
Item = tuple[bytes | None, bytes | None, Headers]

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, with the seed Kafka's Java client uses; ClickHouse's kafkaMurmurHash is the same."""
    length = len(data)
    h = _SEED ^ length
    words = length >> 2
    for k in unpack_from(f"<{words}I", data):
        k = k * _M & _MASK
        k ^= k >> 24
        h = (h * _M & _MASK) ^ (k * _M & _MASK)
    tail = data[words << 2 :]
    if tail:
        h ^= int.from_bytes(tail, "little")
        h = h * _M & _MASK
    h ^= h >> 13
    h = h * _M & _MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key among so many, as every Kafka client chooses it by default."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


class Publisher:
    """Publishes and returns futures; a message counts as published when its future has a result.

    A future raises aiokafka's KafkaError when the broker did not acknowledge within 40 s; the message may be stored
    nevertheless, and is stored twice when it is sent again to a broker without idempotence.
    """

    def __init__(self, kafka: Kafka, *, client: str = "sojourn", linger_ms: int = 5) -> None:
        self._kafka = kafka
        self._producer: Any = None
        self._client = client
        self._linger_ms = linger_ms
        self._counts: dict[str, int] = {}
        #: Who queues for a partition has his turn there. aiokafka lets whoever asks first after a request have the one
        #: place there is: a sweep waited 40 s behind the batches of an agent, in vain.
        self._turns: dict[tuple[str, int], asyncio.Lock] = {}

    async def start(self) -> None:
        """Connect. Raises aiokafka's KafkaConnectionError."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka.bootstrap,
            client_id=self._client,
            acks="all",
            enable_idempotence=self._kafka.idempotence,
            linger_ms=self._linger_ms,
            max_batch_size=262_144,
            # Room for the overhead of a message that is exactly as large as allowed.
            max_request_size=self._kafka.max_message_bytes + 65_536,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Send what is waiting, then disconnect."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def abandon(self) -> None:
        """Disconnect at once: what is waiting is not sent any more; what is on its way may still arrive.

        Futures of messages that were not acknowledged stay without a result.
        """
        if self._producer is not None:
            producer, self._producer = self._producer, None
            # aiokafka's own stop sends what waits, however long that takes.
            producer._closed = True
            sender = producer._sender.sender_task
            if sender is not None:
                sender.cancel()
            await producer.client.close()
            if sender is not None:
                # It waits for requests on their way, and these for metadata that nobody will bring any more.
                await asyncio.wait([sender], timeout=1.0)
                sender.cancel()
                await asyncio.wait([sender])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has. Raises KafkaError when the topic does not appear in the metadata."""
        count = self._counts.get(topic)
        if count is None:
            count = self._counts[topic] = len(await self._producer.partitions_for(topic))
        return count

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        timestamp_ms: int | None = None,
        partition: int | None = None,
    ) -> asyncio.Future[Any]:
        """Queue one message; waits only while the queue of its partition is full. A message without key and partition
        goes anywhere."""
        if partition is None and key is not None:
            partition = partition_of(key, await self.partitions_of(topic))
        future: asyncio.Future[Any] = await self._producer.send(
            topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=list(headers)
        )
        return future

    async def send_all(self, messages: Iterable[tuple[str, Item]]) -> list[asyncio.Future[Any]]:
        """Queue messages with their topics, each where its key belongs, in order within a partition; every message has
        a key. One future per request, as ``send_batch``."""
        by_partition: dict[tuple[str, int], list[Item]] = {}
        for topic, item in messages:
            key = item[0]
            assert key is not None
            partition = partition_of(key, await self.partitions_of(topic))
            by_partition.setdefault((topic, partition), []).append(item)
        return [future for place, items in by_partition.items() for future in await self.send_batch(*place, items)]

    async def send_batch(self, topic: str, partition: int, items: Iterable[Item]) -> list[asyncio.Future[Any]]:
        """Queue many messages of one partition, in order, as few requests; one future per request.

        Far cheaper than ``send`` (faust-microbatch: output). A message over the batch size is sent by itself. Several
        callers have their turns, in the order in which they came.
        """
        async with self._turns.setdefault((topic, partition), asyncio.Lock()):
            return await self._send_batch(topic, partition, items)

    async def _send_batch(self, topic: str, partition: int, items: Iterable[Item]) -> list[asyncio.Future[Any]]:
        producer = self._producer
        futures: list[asyncio.Future[Any]] = []
        batch: Any = None
        for key, value, headers in items:
            while True:
                if batch is None:
                    batch = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None, headers=list(headers)) is not None:
                    break
                if not batch.record_count():
                    futures.append(
                        await producer.send(topic, value, key=key, partition=partition, headers=list(headers))
                    )
                    batch = None
                    break
                futures.append(await self._submit(batch, topic, partition))
                batch = None
        if batch is not None and batch.record_count():
            futures.append(await self._submit(batch, topic, partition))
        return futures

    async def _submit(self, batch: Any, topic: str, partition: int) -> asyncio.Future[Any]:
        batch.close()
        future: asyncio.Future[Any] = await self._producer.send_batch(batch, topic, partition=partition)
        return future

    async def flush(self) -> None:
        """Wait until everything queued so far is acknowledged or failed."""
        await self._producer.flush()
