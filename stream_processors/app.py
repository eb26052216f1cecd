"""The worker process: a Faust app with the agents ``route`` and ``sessionize``, and its clockwork."""

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.tables import TableManager
from faust.types import TP

from producers.kafka.consumer import metadata_age_ms
from producers.kafka.epochs import epochs_of
from producers.kafka.publisher import Publisher
from schemas import topics
from schemas.metrics import Counters
from schemas.settings import Settings
from stream_processors import groups
from stream_processors.dead_letters.limits import EXIT_CODE, TooManyBadRecordsError
from stream_processors.finding import Finder
from stream_processors.heartbeat import Marks, beat, heartbeat, instance_name, send
from stream_processors.import_check import ImportCheck
from stream_processors.intake import Intake
from stream_processors.lanes import Lanes, repeated
from stream_processors.lean_records import use_lean_records
from stream_processors.restore import Restorer, read_topics
from stream_processors.route import Router
from stream_processors.sessionize import Sessions
from stream_processors.starting import connected, stop_asked
from stream_processors.transport import BatchTransport, batch_topics

log = structlog.get_logger()

_TICK_INTERVAL = 1.0
_SWEEP_INTERVAL = 1.0
#: Whoever wrote by an API waits for the answer.
_LOOKUP_INTERVAL = 0.1
#: Seconds a rebalance waits for Kafka to take the last tick.
_LAST_TICK_PATIENCE = 2.0
#: Seconds an orderly stop may take before the process ends without it.
_STOP_PATIENCE = 10.0


#: Allocations between two collections of young garbage. Our records make no cycles, but the collector looks at every
#: list and dictionary they have: with the default of 700 it costs as much as the session machine itself.
_GARBAGE_THRESHOLD = 200_000


class NoTables(TableManager):  # type: ignore[misc]
    """Faust waits a second for tables to be declared; state here comes from ClickHouse."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


def run_worker(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT, finish what is under way, commit, return 0.

    A crash, or a stop that takes too long, ends the whole process with code 1; it does not return. Too many bad records
    end it with code 65.
    """
    use_lean_records()
    prepare_memory()
    return asyncio.run(Worker(settings).run())


def prepare_memory() -> None:
    """What is loaded by now stays, and the collector looks seldom."""
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD, 10, 10)


def make_app(settings: Settings, group: str = groups.WORKER) -> Any:
    """A Faust app that only reads in batches: no web server, no tables, no leader (faust-microbatch: settings)."""
    kafka = settings.kafka
    return faust.App(
        group,
        broker=[f"kafka://{address.strip()}" for address in kafka.bootstrap.split(",")],
        datadir=str(Path(settings.data) / "worker"),
        store="memory://",
        TableManager=NoTables,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=metadata_age_ms(kafka),
        broker_session_timeout=kafka.session_timeout,
        broker_heartbeat_interval=kafka.heartbeat_interval,
        broker_commit_interval=kafka.commit_interval,
        stream_buffer_maxsize=settings.worker.buffer,
        consumer_max_fetch_size=max(1 << 20, kafka.max_message_bytes + 65_536),
        stream_recovery_delay=0.0,
        stream_wait_empty=True,
    )


class Worker:
    """Everything one worker process has."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._counters = Counters()
        self._intake = Intake(settings, self._counters)
        self._publisher = Publisher(settings.kafka, client=groups.WORKER)
        self._router = Router(self._intake, self._publisher, self._counters)
        self._sessions = Sessions(self._intake, self._publisher, self._counters)
        self._restorer = Restorer(settings, self._intake, self._sessions)
        self._finder = Finder(settings, self._sessions, self._restorer)
        self._imports = ImportCheck(settings, self._router.source, self._restorer.committed)
        self._instance = instance_name()
        self._swept = 0.0
        #: Ticks are sent one after the other: what one tells is committed when it is on Kafka.
        self._ticking = asyncio.Lock()
        self._intake.on_gap = self._router.gap
        self._intake.on_rewound = self._rewound
        self._intake.on_leaving = self._last_tick

    async def run(self) -> int:
        stop = stop_asked()
        if not await connected(self._publisher, stop):
            return 0
        # Faust binds an app to the loop it was made in.
        self._app = app = make_app(self._settings)
        app.transport = BatchTransport(app, self._intake)
        lanes = self._agents(app)
        app.on_rebalance_complete.connect(self._assigned, weak=False)
        app.finalize()
        tasks = [
            asyncio.create_task(app.start(), name="app"),
            asyncio.create_task(beat(self._publisher, self._heartbeat), name="heartbeat"),
            asyncio.create_task(self._every(_TICK_INTERVAL, self._tick), name="ticks"),
            asyncio.create_task(self._every(_LOOKUP_INTERVAL, self._pass_time), name="time"),
        ]
        crashed = asyncio.create_task(app._crashed.wait(), name="crashed")
        asked = asyncio.create_task(stop.wait(), name="asked to stop")
        running = {*tasks, crashed, asked}
        while not (crashed.done() or asked.done() or any(task.done() and task.exception() for task in tasks)):
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            running -= {task for task in running if task.done()}
        failed = [task.exception() for task in tasks if task.done() and task.exception()]
        if failed or crashed.done():
            await self._abandon(failed[0] if failed else app.crash_reason)
        await self._stop(app, lanes, [*tasks, crashed, asked])
        return 0

    def _agents(self, app: Any) -> list[Lanes[Any]]:
        router = Lanes(app, self._router.plan, self._router.send, self._router.done, self._imports.settle)
        sessions = self._sessions
        # Versions have revisions, so one that is sent again does no harm; connection records have only their order.
        sessionizer = Lanes(app, sessions.plan, sessions.send, sessions.done, sessions.settle, under_way=2)
        sources = batch_topics(app, *(topic.name for topic in topics.sensor_topics()))

        async def route(stream: Any) -> None:
            await router.run(stream)

        async def sessionize(stream: Any) -> None:
            await sessionizer.run(stream)

        app.agent(sources, name="route")(route)
        app.agent(batch_topics(app, topics.CONNECTIONS), name="sessionize")(sessionize)
        return [router, sessionizer]

    async def _assigned(self, *_: Any, **__: Any) -> None:
        """Awaited by Faust after each rebalance, before any record flows."""
        app = self._app
        generation = app.consumer_generation_id
        partitions = {tp.partition for tp in app.consumer.assignment() if tp.topic == topics.CONNECTIONS}
        self._router.repeat_ticks()
        try:
            await self._restorer.prepare(
                partitions, generation, lambda: generation == app.consumer_generation_id and not app.should_stop
            )
        except Exception as error:
            # An exception in Faust's recovery would leave a process that is alive and idle.
            await app.crash(error)
            raise

    async def _rewound(self, tp: TP) -> None:
        """A log that began anew under us has another epoch."""
        self._intake.epochs = await epochs_of(self._settings.kafka, read_topics())

    def _marks(self) -> Marks:
        try:
            return self._app.consumer.marks() if self._app.consumer is not None else {}
        except ConsumerNotStarted:
            return {}

    def _heartbeat(self) -> Any:
        app = self._app
        generation = -1 if app.rebalancing or app.unassigned else app.consumer_generation_id
        message = self._restorer.waiting_for
        return heartbeat(self._instance, generation, self._marks(), self._counters.values, message)

    def _is_flowing(self) -> bool:
        return not self._app.rebalancing and not self._app.should_stop

    async def _tick(self) -> None:
        async with self._ticking:
            ticks = self._router.due_ticks(self._marks())
            if ticks and not await repeated(lambda: self._router.send_ticks(ticks), self._is_flowing, "ticks"):
                self._router.repeat_ticks()

    async def _last_tick(self) -> None:
        """What no tick has told cannot be committed, and would be read twice. Where Kafka does not take it, it is."""
        try:
            async with asyncio.timeout(_LAST_TICK_PATIENCE), self._ticking:
                ticks = self._router.due_ticks(self._marks())
                if ticks:
                    await self._router.send_ticks(ticks)
        except (KafkaError, TimeoutError) as error:
            log.warning("the last tick was not sent; some records will be read twice", error=repr(error))
            self._router.repeat_ticks()

    async def _pass_time(self) -> None:
        """What time alone brings: silent sensors, and what a store is to be asked about."""
        sweeping = time.monotonic() - self._swept >= _SWEEP_INTERVAL
        if sweeping:
            self._swept = time.monotonic()
        for partition in list(self._sessions.owned):
            for work in (self._sessions.sweep, self._finder.look_up) if sweeping else (self._finder.look_up,):
                if self._is_flowing() and partition in self._sessions.owned:
                    await work(partition, self._is_flowing)

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            if self._is_flowing() and self._intake.epochs:
                await work()

    async def _stop(self, app: Any, lanes: list[Lanes[Any]], tasks: list[asyncio.Task[Any]]) -> None:
        """Finish what is under way, commit, leave the group."""
        try:
            async with asyncio.timeout(_STOP_PATIENCE):
                await app.stop()
                for each in lanes:
                    await each.stop()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                # The last word: nothing is assigned any more, and the counters are complete.
                await self._say("stopped")
                await self._publisher.stop()
                await self._imports.close()
        except TimeoutError as error:
            await self._abandon(error)

    async def _abandon(self, reason: BaseException | None) -> NoReturn:
        """End at once, with nothing more committed: what is not committed is read again by the next worker.

        Not by way of Faust's stop: after a crash it waits for a thread that has crashed, too.
        """
        # Said in one sentence, which the supervisor shows; of all else the trace is wanted.
        limit = isinstance(reason, TooManyBadRecordsError)
        word = f"ended: {reason}" if limit else f"crashed: {reason!r}"
        log.error("worker ends without draining", reason=repr(reason), exc_info=None if limit else reason)
        try:
            async with asyncio.timeout(1):
                await self._say(word)
        except TimeoutError:
            log.warning("the last heartbeat could not be sent")
        sys.stdout.flush()
        sys.stderr.flush()
        if limit:
            sys.stderr.write(f"{reason}\n")
            sys.stderr.flush()
        os._exit(EXIT_CODE if limit else 1)

    async def _say(self, word: str) -> None:
        await send(self._publisher, heartbeat(self._instance, -1, {}, self._counters.values, word))
