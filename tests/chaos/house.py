"""The pipeline as processes, each in a place of its own, and somebody who starts again what has ended.

That somebody is what ``sojourn up``, systemd or Kubernetes are in production. All of it is called from the main thread:
the kernel ends a server together with the thread that started it (deploy.child).
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from deploy.child import Child
from schemas.settings import Settings
from tests.chaos.proxy import Cut, Proxy
from tests.chaos.schedule import API, BROKER, CLICKHOUSE, SINKS, WORKERS, Deed, Verb
from tests.processes import Processes
from tests.stack import Stack

_COMMANDS = {**dict.fromkeys(WORKERS, "process"), **dict.fromkeys(SINKS, "sink"), API: "serve"}
#: What stands empty until a deed fills it.
_SPARE = (WORKERS[-1], SINKS[-1])
#: Seconds until a process that ended by itself is started again, and until one that was asked to end is killed.
_RESTART, _PATIENCE = 1.0, 20.0


class _Process(Protocol):
    @property
    def pid(self) -> int | None: ...
    @property
    def running(self) -> bool: ...


class _Place:
    """One process at a time under a name that outlives it."""

    def __init__(self, start: Callable[[], _Process], wanted: bool) -> None:
        self._start = start
        self._process: _Process | None = None
        self.wanted = wanted
        self.frozen = False
        #: When it is started again, or wakes up; None while nothing is to come.
        self.due: float | None = None
        self.asked = 0.0

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def begin(self) -> None:
        self._process, self.due = self._start(), None

    def signal(self, number: signal.Signals) -> None:
        if self.running:
            os.kill(self.pid, number)

    def wake(self) -> None:
        self.frozen, self.due = False, None
        self.signal(signal.SIGCONT)


class House:
    """Servers are those of ``stack``; the processes reach ClickHouse through ``proxy``."""

    def __init__(self, stack: Stack, settings: Settings, proxy: Proxy, folder: Path) -> None:
        assert stack.broker is not None
        assert stack.store is not None
        self.api = settings.http.listen
        self._proxy = proxy
        self._processes = Processes(settings, folder)
        self._began = time.monotonic()
        #: What was done and what happened by itself, for whoever must understand a failure.
        self.diary: list[str] = []
        self._places = {
            name: _Place(lambda command=command: self._processes.start(command), name not in _SPARE)
            for name, command in _COMMANDS.items()
        }
        for name, child in ((BROKER, stack.broker), (CLICKHOUSE, stack.store.child)):
            self._places[name] = _Place(lambda child=child: _started(child), True)
            self._places[name]._process = child

    def open(self) -> None:
        """Start whatever does not run and is wanted."""
        for name, place in self._places.items():
            if place.wanted and not place.running:
                place.begin()
                self._note(f"{name} started, {place.pid}")

    def close(self) -> None:
        for process in self._processes.started:
            if process.running:
                process.kill()

    def do(self, deed: Deed) -> None:
        """Do it, unless its victim is down or frozen by an earlier deed."""
        place = self._places[deed.victim]
        present = place.running and place.due is None and place.wanted
        if deed.verb is Verb.ADD:
            if not place.wanted:
                place.wanted, place.due = True, time.monotonic()
        elif not present:
            self._note(f"{deed.verb} {deed.victim}: not there")
            return
        elif deed.verb in (Verb.CUT_SENT, Verb.CUT_ANSWERED):
            self._proxy.arm(Cut.SENT if deed.verb is Verb.CUT_SENT else Cut.ANSWERED, round(deed.lasts))
        elif deed.verb is Verb.FREEZE:
            place.signal(signal.SIGSTOP)
            place.frozen, place.due = True, time.monotonic() + deed.lasts
        else:
            place.signal(signal.SIGKILL if deed.verb is Verb.KILL else signal.SIGTERM)
            place.wanted = deed.verb is not Verb.REMOVE
            place.asked = time.monotonic()
            place.due = place.asked + deed.lasts
        self._note(f"{deed.verb} {deed.victim} {deed.lasts:.1f}")

    def tend(self) -> None:
        """Wake and start again what is due."""
        now = time.monotonic()
        for name, place in self._places.items():
            if place.due is None:
                if place.wanted and not place.running:
                    self._note(f"{name} has ended by itself")
                    place.due = now + _RESTART
            elif now < place.due:
                continue
            elif place.frozen:
                place.wake()
                self._note(f"{name} wakes up")
            elif place.running:
                if now > place.asked + _PATIENCE:
                    self._note(f"{name} did not end within {_PATIENCE:.0f} s and is killed")
                    place.signal(signal.SIGKILL)
            elif place.wanted:
                place.begin()
                self._note(f"{name} started, {place.pid}")
            else:
                place.due = None

    def calm(self) -> None:
        """Everything wakes up, and everything wanted runs."""
        for place in self._places.values():
            if place.frozen:
                place.wake()
        deadline = time.monotonic() + 3 * _PATIENCE
        while any((place.wanted and not place.running) or place.due is not None for place in self._places.values()):
            if time.monotonic() > deadline:
                raise AssertionError(self.told("not everything came back"))
            self.tend()
            time.sleep(0.05)

    @property
    def cuts(self) -> int:
        """Connections that were cut."""
        return self._proxy.cuts

    def pids(self, command: str) -> list[int]:
        return [process.pid for process in self._processes.alive(command)]

    def told(self, what: str) -> str:
        """``what``, with the diary and the end of what each living process wrote. In the logs that are kept each says
        what it waits for."""
        logs = "\n".join(process.last_words() for process in self._processes.alive())
        for process in self._processes.alive():
            process.send(signal.SIGUSR1)
        time.sleep(1)
        return "\n".join([what, "--- what was done and what happened", *self.diary, logs])

    def _note(self, text: str) -> None:
        self.diary.append(f"{time.monotonic() - self._began:7.1f} s  {text}")


def _started(child: Child) -> Child:
    child.start()
    return child
