"""``sojourn up``: from options to a running supervisor."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from deploy.data_folder import DataFolder
from deploy.lifetimes import start
from deploy.plan import Options, Plan, make_plan, read_options
from deploy.report import Report


def run_up(options: Options, ephemeral: bool, demo: bool) -> int:
    """Blocks until it is asked to stop; returns the exit code.

    Raises AddressError and SettingsError for wrong options, CannotStartError for what stands in the way.
    """
    settings, where = read_options(options)
    with DataFolder.ephemeral() if ephemeral else DataFolder(Path(settings.data).absolute()) as data:
        plan = make_plan(where, data.path, data.logs)
        return asyncio.run(_supervise(plan, demo))


async def _supervise(plan: Plan, demo: bool) -> int:
    # The servers start and the pipeline loads while this process loads the Kafka and ClickHouse clients.
    for child in plan.children:
        start(child)
    from deploy.supervisor import Supervisor

    report = Report()
    return await Supervisor(plan, report, _demo(plan, report) if demo else None).run()


def _demo(plan: Plan, report: Report) -> Callable[[], Coroutine[Any, Any, None]]:
    async def play_it() -> None:
        from deploy.demo import play

        await play(plan, report)

    return play_it
