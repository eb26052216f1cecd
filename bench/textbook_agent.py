"""The same work written the way Faust's own documentation shows it: one record at a time, a table, ``topic.send``.

Kept only to be compared with (``bench/sessionize.py``). Reads ``connections`` from the beginning and prints its rate.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import faust
import msgspec

from schemas import topics
from schemas.records import Connection
from schemas.settings import Settings

_decode = msgspec.json.Decoder(Connection).decode


def make_app(settings: Settings, run: str, folder: str, expected: int) -> Any:
    partitions = settings.kafka.partitions
    app = faust.App(
        f"textbook-{run}",
        broker=f"kafka://{settings.kafka.bootstrap}",
        store="memory://",
        datadir=folder,
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.kafka.session_timeout,
        broker_heartbeat_interval=settings.kafka.heartbeat_interval,
        stream_wait_empty=False,
    )
    source = app.topic(topics.CONNECTIONS, key_type=bytes, value_type=bytes, value_serializer="raw")
    output = app.topic(f"textbook-sessions-{run}", key_type=bytes, value_type=bytes, value_serializer="raw")
    opened = app.Table("opened", default=bytes, partitions=partitions)
    seen = 0
    began = 0.0

    @app.agent(source)  # type: ignore[untyped-decorator]
    async def sessionize(stream: Any) -> None:
        nonlocal seen, began
        async for key, value in stream.items():
            if not began:
                began = time.perf_counter()
            record = _decode(value)
            name = key.decode()
            if record.action == "connect":
                opened[name] = value.decode()
                await output.send(key=key, value=value)
            elif record.action == "disconnect" and name in opened:
                start = _decode(opened.pop(name).encode())
                session = {
                    "session_id": record.session_id,
                    "sensor": record.sensor,
                    "started_at": start.time,
                    "ended_at": record.time,
                    "duration": (record.time - start.time) / 1_000_000,
                }
                await output.send(key=key, value=msgspec.json.encode(session))
            seen += 1
            if seen == expected:
                print(round(seen / (time.perf_counter() - began)), flush=True)
                os.kill(os.getpid(), signal.SIGTERM)

    return app


async def run(settings: Settings, number: str, expected: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with tempfile.TemporaryDirectory(prefix="sojourn-textbook-") as folder:
        app = make_app(settings, number, folder, expected)
        app.finalize()
        starting = asyncio.create_task(app.start())
        await stop.wait()
        starting.cancel()
    # What it has not committed does not matter any more: leave as a killed process would.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    file, count, number = sys.argv[1:4]
    asyncio.run(run(msgspec.json.decode(Path(file).read_bytes(), type=Settings), number, int(count)))
