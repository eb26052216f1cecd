"""How a child begins and ends, seen from an event loop."""

import asyncio
import time
from collections.abc import Callable

from deploy.child import Child, ending
from deploy.errors import CannotStartError
from deploy.report import Report

#: Seconds a server has for its first answer.
START_SECONDS = 60.0
_POLL = 0.03


def start(child: Child) -> None:
    """Starts it here in the main thread, to whose life it is tethered. Raises CannotStartError."""
    try:
        child.start()
    except OSError as error:
        raise CannotStartError(f"{child.name} cannot be started: {error}") from error


async def ended(child: Child) -> None:
    """Returns when the process that runs now has ended; another one may have taken its place by then."""
    pid = child.pid
    # The kernel sets no asyncio.Event, and a thread per child would be worse.
    while child.running and child.pid == pid:  # noqa: ASYNC110
        await asyncio.sleep(_POLL)


async def first_answer(child: Child, answers: Callable[[], bool]) -> bool:
    """Waits for it; False when the process ended before, or was ended because no answer came."""
    deadline = time.monotonic() + START_SECONDS
    while child.running:
        if await asyncio.to_thread(answers):
            return True
        if time.monotonic() > deadline:
            await end(child, 2.0)
            return False
        await asyncio.sleep(_POLL)
    return False


async def end(child: Child, seconds: float, at_once: asyncio.Event | None = None) -> bool:
    """SIGTERM, and SIGKILL after ``seconds`` or when ``at_once`` is set. True when it ended by itself."""
    child.terminate()
    gone = asyncio.ensure_future(ended(child))
    hurry = asyncio.ensure_future(at_once.wait() if at_once else asyncio.sleep(seconds))
    try:
        await asyncio.wait({gone, hurry}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            return True
        child.kill()
        await gone
        return False
    finally:
        gone.cancel()
        hurry.cancel()


def report_end(report: Report, child: Child, wait: float) -> None:
    """One line about an end that nobody asked for: how it ended, its last words, when it starts again."""
    code = child.exit_code()
    words = [ending(code) if code is not None else "still running", f"again in {wait:g} s", f"log {child.log}"]
    # After a signal the last line has nothing to do with the end.
    last = child.last_line()[:200] if code and code > 0 else ""
    report.component(child.name, "ended", "; ".join([*words, last] if last else words))
