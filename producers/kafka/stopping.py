"""Stopping aiokafka's consumer whatever state it is in."""

import asyncio

from aiokafka import AIOKafkaConsumer


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and disconnect, as ``consumer.stop()`` does.

    That one cancels its fetches and waits for them; a fetch in its pause after an error (the broker is away) lets the
    cancellation out, into whoever stops the consumer: a task of ours would end as if we had cancelled it, in silence,
    and the connection would stay open (aiokafka 0.14: Fetcher.close).
    """
    task = asyncio.current_task()
    # A task that was cancelled before stops its consumer on its way out.
    before = task.cancelling() if task is not None else 0
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        if task is not None and task.cancelling() > before:
            raise
        # What stop() had still to do.
        await consumer._client.close()
