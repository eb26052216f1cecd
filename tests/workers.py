"""Worker processes for tests, and what they wrote."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from aiokafka import TopicPartition

from producers.kafka.history import read_history
from producers.kafka.message import Message
from schemas import topics
from schemas.health import Heartbeat
from schemas.records import Session
from schemas.settings import Settings

_ROOT = Path(__file__).parent.parent


class WorkerProcess:
    """One ``run_worker`` in a process of its own."""

    def __init__(self, settings: Settings, folder: Path, module: str) -> None:
        self._file = folder / f"worker-{time.monotonic_ns()}.json"
        self._file.write_bytes(msgspec.json.encode(settings))
        self._log = self._file.with_suffix(".log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(self._file)],
                cwd=_ROOT,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: nothing is drained or committed."""
        self._process.kill()
        self._process.wait(10)

    def stop(self, seconds: float = 15) -> int:
        """SIGTERM, and its exit code."""
        self._process.terminate()
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        """Its exit code, once it has ended by itself."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"the worker had not ended after {seconds} s:\n{self.log()}") from None

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        return self._log.read_text(errors="replace")[-6000:]


class Workers:
    """Worker processes of one test; all of them end with it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self._folder = folder
        self._started: list[WorkerProcess] = []

    def start(self, module: str = "tests.workers") -> WorkerProcess:
        worker = WorkerProcess(self.settings, self._folder, module)
        self._started.append(worker)
        return worker

    def kill_all(self) -> None:
        for worker in self._started:
            if worker.running:
                worker.kill()

    def logs(self) -> str:
        return "\n".join(worker.log() for worker in self._started)


@contextmanager
def workers_of(settings: Settings) -> Iterator[Workers]:
    with tempfile.TemporaryDirectory(prefix="sojourn-workers-") as folder:
        workers = Workers(settings, Path(folder))
        try:
            yield workers
        finally:
            workers.kill_all()


async def messages(settings: Settings, topic: str) -> list[Message]:
    """Everything that a topic holds now."""
    count = {t.name: t.partitions for t in topics.all_topics()}[topic] or settings.kafka.partitions
    found: list[Message] = []
    async for _, records in read_history(settings.kafka, {TopicPartition(topic, p): 0 for p in range(count)}):
        found.extend(records)
    return found


async def sessions_of(settings: Settings, sensor: str) -> dict[str, Session]:
    """The version that counts of every session of a sensor, as ``sessions`` has it."""
    latest: dict[str, Session] = {}
    for message in await messages(settings, topics.SESSIONS):
        if message.value is None:
            continue
        session = msgspec.json.decode(message.value, type=Session)
        if session.sensor == sensor and (
            session.session_id not in latest or latest[session.session_id].revision <= session.revision
        ):
            latest[session.session_id] = session
    return latest


async def heartbeats(settings: Settings) -> dict[str, Heartbeat]:
    """The last heartbeat of every worker that ever was."""
    found = {}
    for message in await messages(settings, topics.HEALTH):
        if message.value is not None and message.key is not None and message.key.startswith(b"worker/"):
            beat = msgspec.json.decode(message.value, type=Heartbeat)
            found[beat.instance] = beat
    return found


async def until(
    condition: Callable[[], object], seconds: float, explain: Callable[[], str], pause: float = 0.2
) -> None:
    """Wait for an awaitable condition, with a message when it does not come."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        if time.monotonic() > deadline:
            raise AssertionError(explain())
        await asyncio.sleep(pause)


def main() -> int:
    from stream_processors.app import run_worker

    return run_worker(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Settings))


if __name__ == "__main__":
    sys.exit(main())
