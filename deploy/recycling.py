"""The embedded broker keeps everything in memory: at a mark it is drained, ended and started anew.

Source: hard-questions, "The embedded broker and memory". In this order: everybody is told on ``sojourn.health``, our
own doors refuse from then on; when little is left the gate closes for all others; when worker and sink have nothing
left the pipeline ends, then the broker. The next one begins with a gate that is closed until the topics are made.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from deploy.child import Child
from deploy.embedded.gate import Gate, GateError
from deploy.lifetimes import end, ended
from deploy.plan import Plan
from deploy.readiness import Readiness, ask_readiness
from deploy.report import Report
from deploy.speaker import Speaker
from schemas.health import RECYCLING

_LOOK_SECONDS = 0.5
#: Between the word that we recycle and the gate: our own producers hear it and finish what they have begun.
_NOTICE_SECONDS = 1.5
#: With more than this left the drain may take longer than a producer waits; so it goes on with the gate open, but not
#: for longer than the seconds: a sensor that is faster than we are would keep it open for ever.
_LITTLE_LEFT = 20_000
_OPEN_SECONDS = 15.0
#: A producer's request must not be kept for longer than its time-out, 30 s with most clients.
_CLOSED_SECONDS = 20.0
_AGAIN_SECONDS = 20.0
#: Worker and sink speak once a second: two answers so far apart are of two heartbeats.
_HEARTBEATS_APART = 1.2
_MIB = 1 << 20


class Recycler(msgspec.Struct):
    """Watches the broker of one ``sojourn up`` through all its lives."""

    plan: Plan
    report: Report
    speaker: Speaker
    dismiss: Callable[[], Awaitable[None]]
    count: int = 0

    def gate_of(self, broker: Child) -> Gate:
        """A gate before the broker that runs now; the processes of ``sojourn up`` pass."""
        port = self.plan.kafka.port if self.plan.kafka else 0
        return Gate(broker.pid or 0, port, self.plan.kafka_clients)

    @asynccontextmanager
    async def closed_at_first(self, broker: Child, wanted: bool) -> AsyncIterator[None]:
        """A broker that has just been started, closed within a millisecond of its listening, for as long as this lasts.

        Where there can be no gate the broker is open from the beginning.
        """
        gate = self.gate_of(broker)
        with suppress(GateError):
            while wanted and broker.running and not gate.closed:
                if gate.listens():
                    gate.close()
                else:
                    await asyncio.sleep(0.0003)
        try:
            yield
        finally:
            if gate.closed:
                gate.open()

    async def watch(self, broker: Child) -> bool:
        """Returns when the broker has ended: true when that was for its memory, with everything stored."""
        mark = self.plan.settings.kafka.broker_memory
        pid = broker.pid
        while broker.running and broker.pid == pid:
            with suppress(TimeoutError):
                await asyncio.wait_for(ended(broker), _LOOK_SECONDS)
            memory = await asyncio.to_thread(resident_bytes, pid) if mark and pid else 0
            self.speaker.memory = memory
            if memory < mark or not mark:
                continue
            if not (await self._ready()).ready:
                # What is away would not be drained; health says what it is.
                continue
            if await self._recycle(broker, memory, mark):
                return True
            with suppress(TimeoutError):
                await asyncio.wait_for(ended(broker), _AGAIN_SECONDS)
        return False

    async def _recycle(self, broker: Child, memory: int, mark: int) -> bool:
        began = time.monotonic()
        self.report.component(
            "broker",
            "recycling",
            f"{memory // _MIB} MiB in memory, the mark is {mark // _MIB}: what it holds is stored, then it starts anew",
        )
        gate = self.gate_of(broker)
        try:
            await self.speaker.say(RECYCLING)
            await asyncio.sleep(_NOTICE_SECONDS)
            await self._until(broker, lambda now: now.lag <= _LITTLE_LEFT, _OPEN_SECONDS, apart=0)
            try:
                gate.close()
            except GateError as error:
                why = f"producers of others cannot be held back here ({error.strerror}): it waits until they are quiet"
                self.report.component("broker", "recycling", why)
            if not await self._until(broker, lambda now: now.caught_up, _CLOSED_SECONDS, apart=_HEARTBEATS_APART):
                behind = (await self._ready()).behind()
                self.report.component("broker", "goes on", f"{behind}; tried again in {_AGAIN_SECONDS:.0f} s")
                return False
            await self.speaker.stop()
            await self.dismiss()
            await end(broker, 3.0)
        finally:
            if broker.running:
                gate.open()
                await self.speaker.say("")
            gate.leave()
        self.count += 1
        self.speaker.recycles = self.count
        self.report.component(
            "broker", "recycled", f"number {self.count}, after {time.monotonic() - began:.0f} s; all it held is stored"
        )
        return True

    async def _until(self, broker: Child, holds: Callable[[Readiness], bool], seconds: float, apart: float) -> bool:
        """Whether it holds within ``seconds``, and does so for ``apart`` seconds without a break."""
        deadline = time.monotonic() + seconds
        since: float | None = None
        while broker.running and time.monotonic() < deadline:
            now = time.monotonic()
            readiness = await self._ready()
            if not readiness.checks or not holds(readiness):
                since = None
            else:
                since = now if since is None else since
                if time.monotonic() - since >= apart:
                    return True
            await asyncio.sleep(0.1)
        return False

    async def _ready(self) -> Readiness:
        return await asyncio.to_thread(ask_readiness, self.plan.http, self.plan.tls, 2.0)


def resident_bytes(pid: int) -> int:
    """Memory that a process occupies; 0 when it has ended."""
    statm = Path(f"/proc/{pid}/statm")
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/statm").exists():
            return 0
    # No /proc: ps says kilobytes everywhere.
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return int(said or 0) * 1024
