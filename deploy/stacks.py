"""What a process is doing, asked from outside: SIGUSR1 writes where each thread stands and what each task waits for.

For the day when a process is alive and does nothing: nothing else tells which answer it waits for.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any


def write_stacks_when_asked() -> None:
    """From now on; call it in the main thread. What is written goes to stderr, as the other logs do."""
    signal.signal(signal.SIGUSR1, lambda _number, frame: _write(frame))


def _write(interrupted: FrameType | None) -> None:
    # Not through sys.stderr: the main thread may be writing there. And whoever asks must not break what is asked.
    with contextlib.suppress(Exception):
        written = ("\n".join(_lines(interrupted)) + "\n").encode(errors="replace")
        while written:
            written = written[os.write(sys.stderr.fileno(), written) :]


def _lines(interrupted: FrameType | None) -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        # Ours is the handler's; wanted is what it interrupted.
        top = interrupted if ident == threading.get_ident() else frame
        yield f"thread {names.get(ident, ident)}:"
        yield from ("".join(traceback.format_stack(top))).rstrip().split("\n")
        loop = _loop_of(top)
        for task in asyncio.all_tasks(loop) if loop else ():
            yield f"task {task.get_name()}:"
            yield from (f"  {line}" for line in _awaited(task.get_coro()))


def _loop_of(frame: FrameType | None) -> asyncio.AbstractEventLoop | None:
    """The loop that a thread runs: asyncio tells only its own thread."""
    while frame is not None:
        loop = frame.f_locals.get("self") if frame.f_code.co_name == "run_forever" else None
        if isinstance(loop, asyncio.AbstractEventLoop):
            return loop
        frame = frame.f_back
    return None


def _awaited(waiting: Any) -> Iterator[str]:
    """The chain of coroutines from a task's own down to what it waits for."""
    while waiting is not None:
        frame = next((found for kind in ("cr", "gi", "ag") if (found := getattr(waiting, f"{kind}_frame", None))), None)
        if frame is None:
            yield repr(waiting)[:200]
            return
        yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        inner = ("cr_await", "gi_yieldfrom", "ag_await")
        waiting = next((found for name in inner if (found := getattr(waiting, name, None))), None)
