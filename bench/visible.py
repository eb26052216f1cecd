"""How soon is a published session in the answer of ``GET /sessions``, at idle?

Run: ``python -m bench.visible``. Starts ``sojourn up`` on free ports in a temporary folder, publishes one connect at a
time and asks until it is there. Prints median and 95th percentile in milliseconds.
"""

import argparse
import asyncio
import json
import statistics
import time
import urllib.request

from producers.kafka.publisher import Publisher
from schemas.settings import Kafka
from schemas.topics import CONNECTIONS_IN
from tests.up_process import Ports, Up


async def measure(ports: Ports, tries: int) -> list[float]:
    """Milliseconds from before publishing to the answer that has the session, for each try."""
    took = []
    async with Publisher(Kafka(bootstrap=f"127.0.0.1:{ports.kafka}")) as publisher:
        for number in range(tries):
            sensor = f"visible-{number}"
            record = {"action": "connect", "sensor": sensor, "session_id": "1", "time": time.time(), "protocol": "ssh"}
            url = f"http://127.0.0.1:{ports.http}/sessions?page=1&response_per_page=1&sensors=^{sensor}$"
            began = time.perf_counter()
            await (
                await publisher.send(CONNECTIONS_IN, json.dumps([sensor, "1"]).encode(), json.dumps(record).encode())
            )
            while not await asyncio.to_thread(_matched, url):  # noqa: ASYNC110 - nobody calls back
                await asyncio.sleep(0.005)
            took.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.3)
    return took


def _matched(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bool(json.load(answer)["matched"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=50)
    tries = parser.parse_args().tries
    ports = Ports()
    with Up(ports, *ports.options(), "--ephemeral") as up:
        up.wait_ready()
        took = sorted(asyncio.run(measure(ports, tries)))
    print(
        f"{tries} tries: median {statistics.median(took):.0f} ms, 95th percentile {took[int(0.95 * tries) - 1]:.0f} ms"
    )


if __name__ == "__main__":
    main()
