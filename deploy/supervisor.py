"""Starts, watches, restarts and drains the processes of ``sojourn up``.

One task per component keeps it running. The processes of the pipeline run only while the topics exist: no client may
live through a broker's death (hard-questions: epochs), so when the broker ends they end first, and start again after
the topics of the new broker were made.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from deploy.backoff import Backoff
from deploy.child import Child
from deploy.errors import CannotStartError
from deploy.lifetimes import START_SECONDS, end, ended, report_end, start
from deploy.plan import Plan
from deploy.readiness import Readiness, ask_readiness
from deploy.report import Report
from deploy.servers import Gates, keep_clickhouse, keep_kafka
from producers.stop_signals import StopSignals
from stream_processors.dead_letters.limits import EXIT_CODE as TOO_MANY_BAD_RECORDS

#: Seconds for all of the drain, under the 15 that are promised, and for each at most, in this order.
_ALL_DRAIN_SECONDS = 14.0
_DRAIN_SECONDS = {"api": 2.0, "backup": 1.5, "worker": 5.0, "sink": 4.0}
_SERVERS_SECONDS = 3.5
#: Seconds to wait until worker and sink have read what an embedded broker would forget.
_CATCH_UP_SECONDS = 5.0
#: Worker and sink speak once a second: two answers so far apart are of two heartbeats.
_HEARTBEATS_APART = 1.2
#: Worker and sink whose broker is gone can still store what they hold.
_DISMISS_SECONDS = 5.0


class Supervisor:
    """``run`` returns the exit code. ``after_ready`` runs once, when everything is ready for the first time."""

    def __init__(
        self, plan: Plan, report: Report, after_ready: Callable[[], Coroutine[Any, Any, None]] | None = None
    ) -> None:
        self._plan = plan
        self._report = report
        self._after_ready = after_ready
        self._gates = Gates(asyncio.Event(), asyncio.Event())
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()
        #: Ended by us, because the broker is gone: no fault of theirs.
        self._dismissed: set[Child] = set()

    async def run(self) -> int:
        """Raises CannotStartError when something was in the way, after everything it started has ended."""
        loop = asyncio.get_running_loop()
        signals = StopSignals(self._stop.set, self._hurry)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, signals)
        serving = asyncio.create_task(self._serve())
        stopping = asyncio.create_task(self._stop.wait())
        clean = False
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                self._report.say("stopping: draining, at most 15 s; Ctrl-C again ends at once")
        finally:
            # Nothing ends this by itself but an error, and then that is all there is to say.
            failed = serving.done()
            serving.cancel()
            stopping.cancel()
            await asyncio.gather(serving, stopping, return_exceptions=True)
            clean = await self._drain(silent=failed)
            for child in self._plan.children:
                child.kill()
        if failed:
            _raise_cause(serving)
        return int(not clean)

    def _hurry(self) -> None:
        if not self._at_once.is_set():
            self._report.say("stopping: at once, as asked for again")
        self._at_once.set()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_kafka(self._plan, self._gates, self._report, self._dismiss_pipeline))
            tasks.create_task(keep_clickhouse(self._plan, self._gates, self._report))
            for child in self._plan.pipeline:
                tasks.create_task(self._keep(child))
            tasks.create_task(self._watch_readiness())

    async def _keep(self, child: Child) -> None:
        """One process of the pipeline, again and again."""
        backoff = Backoff()
        while True:
            started = time.monotonic()
            if not child.running:
                start(child)
            await self._released(child)
            await ended(child)
            if child in self._dismissed:
                self._dismissed.discard(child)
                self._report.component(child.name, "stopped", "waits for the broker")
                continue
            if child.exit_code() == TOO_MANY_BAD_RECORDS:
                # It would only read the same records again: whoever mends them starts us again.
                self._report.component(child.name, "ended", f"and stays so: {child.last_line()}")
                return
            wait = backoff.after(time.monotonic() - started)
            report_end(self._report, child, wait)
            await asyncio.sleep(wait)

    async def _released(self, child: Child) -> None:
        """It loads while the servers start, and begins when both can be used; or it ended before."""
        opened = asyncio.create_task(self._gates.both())
        gone = asyncio.create_task(ended(child))
        try:
            await asyncio.wait({opened, gone}, return_when=asyncio.FIRST_COMPLETED)
            if opened.done():
                child.release()
        finally:
            opened.cancel()
            gone.cancel()

    async def _dismiss_pipeline(self) -> None:
        running = [child for child in self._plan.pipeline if child.running]
        self._dismissed.update(running)
        await asyncio.gather(*(end(child, _DISMISS_SECONDS) for child in running))

    async def _watch_readiness(self) -> None:
        """Reports each process when it becomes ready, and the whole the first time it is."""
        told: dict[Child, int | None] = {}
        began = time.monotonic()
        was_ready = warned = False
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = Readiness()
                if self._plan.api.running:
                    now = await asyncio.to_thread(ask_readiness, self._plan.http, self._plan.tls)
                self._tell(now, told)
                if now.ready and not was_ready:
                    was_ready = True
                    self._report.say(f"ready: {self._plan.url}")
                    if self._after_ready is not None:
                        tasks.create_task(self._after_ready())
                if not was_ready and not warned and time.monotonic() - began > START_SECONDS:
                    warned = True
                    self._report.say(f"not ready after {START_SECONDS:.0f} s: {now.missing()}")
                await asyncio.sleep(1.0 if was_ready else 0.15)

    def _tell(self, now: Readiness, told: dict[Child, int | None]) -> None:
        """One line when a process became ready; one more when another took its place."""
        for child in self._plan.pipeline:
            check = now.checks.get(child.name)
            # That the API answers at all says that it runs.
            good = bool(now.checks) if child in (self._plan.api, self._plan.backup) else check is not None and check.ok
            if child.running and good and told.get(child) != child.pid:
                told[child] = child.pid
                self._report.component(child.name, "ready", self._plan.door if child is self._plan.api else "")

    async def _drain(self, silent: bool) -> bool:
        """api, worker, sink, then the servers. True when each ended by itself."""

        deadline = time.monotonic() + _ALL_DRAIN_SECONDS

        async def drained(child: Child, seconds: float) -> bool:
            # What comes later keeps a second of its own.
            seconds = min(seconds, max(1.0, deadline - time.monotonic() - 1.0))
            in_time = await end(child, seconds, self._at_once)
            if not silent:
                self._report.component(child.name, "stopped", "" if in_time else "killed: it did not end in time")
            return in_time

        clean = True
        if not silent and self._plan.settings.kafka.embedded:
            await self._catch_up()
        for child in self._plan.pipeline:
            if child.running:
                clean &= await drained(child, _DRAIN_SECONDS[child.name])
        servers = [child for child in self._plan.children if child not in self._plan.pipeline and child.running]
        # Everything acknowledged is stored by now, so a kill of these loses nothing.
        await asyncio.gather(*(drained(child, _SERVERS_SECONDS) for child in servers))
        return clean

    async def _catch_up(self) -> None:
        """The embedded broker forgets its log when it ends: what it acknowledged is read first, if time allows."""
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        since: float | None = None
        while self._plan.api.running and time.monotonic() < deadline and not self._at_once.is_set():
            now = await asyncio.to_thread(ask_readiness, self._plan.http, self._plan.tls, 1.0)
            if not now.checks:
                return
            if not now.caught_up:
                since = None
            elif since is None:
                since = time.monotonic()
            elif time.monotonic() - since >= _HEARTBEATS_APART:
                return
            await asyncio.sleep(0.1)
        if since is None:
            self._report.say("stopping: records that were not stored yet are lost with the embedded broker")


def _raise_cause(serving: "asyncio.Task[None]") -> None:
    """An expected failure by itself, out of the groups it came in; all else is a bug and comes with its trace."""
    try:
        serving.result()
    except BaseExceptionGroup as group:
        expected = [error for error in _leaves(group) if isinstance(error, CannotStartError)]
        if expected:
            raise expected[0] from None
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
