"""``sojourn up --load N``: a generated load beside whatever else comes, for live streams and plots to show.

A process of its own, like any producer: while the embedded broker is drained it is held back like others, and when the
broker ends it ends, and another one begins.
"""

import asyncio
import random
import sys
import time

from deploy.backoff import Backoff
from deploy.child import Child
from deploy.lifetimes import end, ended, start
from deploy.plan import Plan
from deploy.report import Report

#: More records than anybody waits for.
_ENDLESS = 10**12
_PATIENCE_SECONDS = 2.0


async def keep_loading(plan: Plan, report: Report, rate: float) -> None:
    """``rate`` records a second, by the clock, until it is cancelled."""
    report.say(f"load: {rate:g} generated records a second from sensors load-000, load-001, …, until this ends")
    backoff = Backoff()
    while True:
        began = time.monotonic()
        # With a seed that was used before its sessions would be those of that run.
        seed = random.getrandbits(62)
        words = [sys.executable, "-P", "-m", "deploy", "generate", f"--kafka={plan.settings.kafka.bootstrap}"]
        words += [f"--rate={rate}", "--start=now", f"--records={_ENDLESS}", f"--seed={seed}"]
        child = Child("load", words, plan.worker.log.with_name("load.log"))
        start(child)
        try:
            await ended(child)
        finally:
            await end(child, _PATIENCE_SECONDS)
        # The broker is away, as a rule.
        await asyncio.sleep(backoff.after(time.monotonic() - began))
