"""``sojourn up``: from options to a running supervisor."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from deploy.data_folder import DataFolder
from deploy.plan import Options, Plan, make_plan, read_options
from deploy.report import Report
from deploy.supervisor import Supervisor


def run_up(options: Options, ephemeral: bool, demo: bool) -> int:
    """Blocks until it is asked to stop; returns the exit code.

    Raises AddressError and SettingsError for wrong options, CannotStartError for what stands in the way.
    """
    settings, where = read_options(options)
    with DataFolder.ephemeral() if ephemeral else DataFolder(Path(settings.data).absolute()) as data:
        plan = make_plan(where, data.path, data.logs)
        report = Report()
        return asyncio.run(_supervise(plan, report, _demo(plan, report) if demo else None))


async def _supervise(plan: Plan, report: Report, after_ready: Callable[[], Coroutine[Any, Any, None]] | None) -> int:
    return await Supervisor(plan, report, after_ready).run()


def _demo(plan: Plan, report: Report) -> Callable[[], Coroutine[Any, Any, None]]:
    from deploy.demo import play

    return partial(play, plan, report)
