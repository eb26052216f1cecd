"""`sojourn produce --follow` as an operator starts it beside a sensor."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.up_process import PATIENCE, Up


@asynccontextmanager
async def followed(format_name: str, log: Path | str, folder: Path, up: Up) -> AsyncIterator[None]:
    """Runs while the context lasts, then ends well: everything was published."""
    positions = folder / "positions" / "kept.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy", "produce", format_name, str(log), "--follow"),
        *(f"--kafka=127.0.0.1:{up.ports.kafka}", f"--positions={positions}"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert (process.returncode, "rejected" in said.decode()) == (0, False), said.decode()
    assert positions.exists()
