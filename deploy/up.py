"""``sojourn up``: from options to a running supervisor."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from deploy.data_folder import DataFolder
from deploy.lifetimes import start
from deploy.plan import Options, Plan, make_plan, read_options
from deploy.report import Report

#: Generated records a second beside a demo: something moves, and the machine stays quiet.
_BESIDE_DEMO = 2.0


def run_up(options: Options, ephemeral: bool, demo: bool, load: float | None = None) -> int:
    """Blocks until it is asked to stop; returns the exit code. ``load``: generated records a second; None: some beside
    a demo, else none.

    Raises AddressError and SettingsError for wrong options, CannotStartError for what stands in the way.
    """
    settings, where = read_options(options)
    with DataFolder.ephemeral() if ephemeral else DataFolder(Path(settings.data).absolute()) as data:
        plan = make_plan(where, data.path, data.logs)
        if load is None:
            load = _BESIDE_DEMO if demo else 0.0
        return asyncio.run(_supervise(plan, demo, load))


async def _supervise(plan: Plan, demo: bool, load: float) -> int:
    # The servers start and the pipeline loads while this process loads the Kafka and ClickHouse clients.
    for child in plan.children:
        start(child)
    from deploy.supervisor import Supervisor

    report = Report()
    return await Supervisor(plan, report, _traffic(plan, report, demo, load)).run()


def _traffic(plan: Plan, report: Report, demo: bool, load: float) -> Callable[[], Coroutine[Any, Any, None]]:
    async def after_ready() -> None:
        if demo:
            from deploy.demo import play

            await play(plan, report)
        if load:
            from deploy.load import keep_loading

            await keep_loading(plan, report, load)

    return after_ready
