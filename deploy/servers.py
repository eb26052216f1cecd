"""Keeps the broker and ClickHouse running, and makes topics and tables in them.

The first start of a child may have happened already: ``deploy.up`` starts all before it loads this.
Each function runs until it is cancelled and opens a gate when its server can be used. Only a failure before a server
was usable for the first time ends everything (CannotStartError); later ones are reported, and the server starts again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
from aiokafka.errors import KafkaConnectionError, KafkaError

from deploy.backoff import Backoff
from deploy.child import Child
from deploy.embedded.broker import broker_answers, explain_broker
from deploy.embedded.clickhouse import EmbeddedClickHouse, clickhouse_answers, explain_clickhouse
from deploy.errors import CannotStartError
from deploy.lifetimes import end, first_answer, report_end, start
from deploy.plan import Plan
from deploy.recycling import Recycler
from deploy.report import Report
from deploy.schema import SchemaError, apply_tables
from deploy.speaker import Speaker
from producers.kafka.epochs import TopicsError, apply_topics
from schemas.settings import Kafka, Settings

#: ClickHouse is started anew when it did not answer for so long; a listener that is gone is noticed in 3 s.
_SILENCE_SECONDS = 30.0
_REFUSALS = 3


class Gates(msgspec.Struct, frozen=True):
    """Open while topics exist (closed when the embedded broker dies), and since the tables exist."""

    topics: asyncio.Event
    tables: asyncio.Event

    async def both(self) -> None:
        while not (self.topics.is_set() and self.tables.is_set()):
            await self.topics.wait()
            await self.tables.wait()


async def keep_kafka(plan: Plan, gates: Gates, report: Report, dismiss: Callable[[], Awaitable[None]]) -> None:
    """The embedded broker, or somebody's Kafka. ``dismiss`` ends all clients of a broker that died."""
    if plan.broker is None or plan.kafka is None:
        await _make_topics(plan.settings)
        report.component("broker", "ready", f"{plan.settings.kafka.bootstrap} (not started by us)")
        gates.topics.set()
        return
    broker, address, backoff = plan.broker, plan.kafka, Backoff()

    async def leave() -> None:
        gates.topics.clear()
        await dismiss()

    recycler = Recycler(plan, report, Speaker(plan.settings.kafka), leave)
    served = False
    while True:
        started = time.monotonic()
        if not broker.running:
            start(broker)
        # Producers that wait for the broker to come back would make topics before we do, with other partitions.
        async with recycler.closed_at_first(broker, served):
            usable = await first_answer(broker, lambda: broker_answers(address))
            usable = usable and await _topics_made(plan, broker, served)
        recycled = False
        if usable:
            report.component("broker", "ready", f"{address} (embedded, memory only)")
            served = True
            await recycler.speaker.start()
            gates.topics.set()
            try:
                recycled = await recycler.watch(broker)
                gates.topics.clear()
            finally:
                # When we are asked to stop, too: the broker would wait for its client.
                await recycler.speaker.stop()
        elif not served:
            raise CannotStartError(explain_broker(broker, address))
        if recycled:
            continue
        wait = backoff.after(time.monotonic() - started)
        report_end(report, broker, wait)
        # Before another broker starts: they would go on with positions of the old one.
        await dismiss()
        await asyncio.sleep(wait)


async def _topics_made(plan: Plan, broker: Child, served: bool) -> bool:
    """False when the broker of a later life did not take the topics: then it is ended, and another one starts."""
    try:
        await _make_topics(plan.settings)
    except CannotStartError:
        if not served and broker.running:
            raise
        await end(broker, 2.0)
        return False
    return True


async def _make_topics(settings: Settings) -> None:
    try:
        await apply_topics(settings.kafka)
    except (KafkaError, TopicsError, OSError) as error:
        raise CannotStartError(kafka_sentence(error, settings.kafka)) from error


def kafka_sentence(error: Exception, kafka: Kafka) -> str:
    """Why the topics could not be made, as one sentence."""
    if isinstance(error, KafkaConnectionError):
        return f"Kafka at {kafka.bootstrap} does not answer; start it, or correct the address"
    return f"Kafka at {kafka.bootstrap}: {error}"


async def keep_clickhouse(plan: Plan, gates: Gates, report: Report) -> None:
    """The embedded ClickHouse, or somebody's."""
    server = plan.clickhouse
    if server is None:
        await _make_tables(plan.settings)
        report.component("clickhouse", "ready", f"{plan.settings.clickhouse.url} (not started by us)")
        gates.tables.set()
        return
    backoff = Backoff()
    while True:
        started = time.monotonic()
        if not server.child.running:
            start(server.child)
        if await first_answer(server.child, lambda: clickhouse_answers(server)):
            if not gates.tables.is_set():
                await _make_tables(plan.settings)
            report.component(
                "clickhouse", "ready", f"{server.http}, native {server.native_port} (embedded, in {server.folder})"
            )
            gates.tables.set()
            await _watch(server, report)
        elif not gates.tables.is_set():
            raise CannotStartError(explain_clickhouse(server))
        wait = backoff.after(time.monotonic() - started)
        report_end(report, server.child, wait)
        await asyncio.sleep(wait)


async def _make_tables(settings: Settings) -> None:
    try:
        await asyncio.to_thread(apply_tables, settings)
    except SchemaError as error:
        raise CannotStartError(str(error)) from error


async def _watch(server: EmbeddedClickHouse, report: Report) -> None:
    """Returns when the process ended, or was ended because it no longer answers.

    Anybody on this machine can stop the listeners (embedded-clickhouse: ``default`` keeps SYSTEM LISTEN).
    """
    answered, refusals = time.monotonic(), 0
    while server.child.running:
        asked = time.monotonic()
        if await asyncio.to_thread(clickhouse_answers, server):
            answered, refusals = time.monotonic(), 0
        else:
            # A refusal comes at once; a server that is only busy lets us wait.
            refusals += time.monotonic() - asked < 1.0
            if refusals >= _REFUSALS or time.monotonic() - answered > _SILENCE_SECONDS:
                report.component("clickhouse", "silent", "does not answer; it is ended and started again")
                await end(server.child, 8.0)
                return
        await asyncio.sleep(1.0)
