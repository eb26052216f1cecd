"""How soon do a thousand WebSockets on one server have what a sensor published, at idle and under load?

Run: ``python -m bench.live``. Starts broker, ClickHouse and one API on free ports, connects the clients, and publishes
one event at a time; then many at once. Prints milliseconds from before publishing to each client's push, what clients
were told they lost, how long the API takes for another question meanwhile, and its memory. Clients and server share
this machine: what the clients cost is in every figure.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import msgspec

from producers.kafka.publisher import Publisher
from query_api.listener import allow_files
from schemas.settings import Settings
from schemas.topics import EVENTS
from tests.processes import Running
from tests.stack import embedded_stack, free_port

#: Another process, which the clients do not keep waiting: milliseconds of each answer until its input ends.
_ASK = """
import select, sys, time, urllib.request
while not select.select([sys.stdin], [], [], 0.05)[0]:
    began = time.perf_counter()
    urllib.request.urlopen(sys.argv[1]).read()
    print((time.perf_counter() - began) * 1000)
"""


class Client:
    """A WebSocket that notes when each event came."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}
        self.got = self.lost = 0

    async def listen(self, http: aiohttp.ClientSession, url: str, connected: asyncio.Semaphore) -> None:
        async with http.ws_connect(url, max_msg_size=0) as ws:
            connected.release()
            async for message in ws:
                now = time.perf_counter()
                found = msgspec.json.decode(message.data)
                if found["type"] == 6:
                    self.got += len(found["payload"])
                    self.lost += found.get("lost", 0)
                    for event in found["payload"]:
                        self.came.setdefault(event["data"], now)


async def measure(settings: Settings, url: str, count: int, tries: int, flood: int) -> None:
    clients = [Client() for _ in range(count)]
    connected = asyncio.Semaphore(0)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http, Publisher(settings.kafka, linger_ms=0) as publisher:
        await _answers(http, url)
        began = time.perf_counter()
        tasks = [asyncio.create_task(client.listen(http, url + "/ws", connected)) for client in clients]
        for _ in clients:
            await connected.acquire()
        print(f"{count} clients connected in {time.perf_counter() - began:.1f} s")
        took = []
        for number in range(tries):
            sent = time.perf_counter()
            await (await publisher.send(EVENTS, b"k", _event(f"idle-{number}")))
            while not all(f"idle-{number}" in client.came for client in clients):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            took += [(client.came[f"idle-{number}"] - sent) * 1000 for client in clients]
        print(f"at idle, {tries} events to each: {_spread(took)}")
        asking = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _ASK, url + "/version", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        before = sum(client.got + client.lost for client in clients)
        began = time.perf_counter()
        futures = [await publisher.send(EVENTS, b"%d" % n, _event(f"flood-{n}")) for n in range(flood)]
        await asyncio.gather(*futures)
        published = time.perf_counter() - began
        while sum(client.got + client.lost for client in clients) < before + flood * count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        answer, _ = await asking.communicate(b"enough\n")
        asked = [float(word) for word in answer.split()]
        lost = sum(client.lost for client in clients)
        print(
            f"{flood} events within {published:.1f} s: delivered or told lost after "
            f"{time.perf_counter() - began:.1f} s, {lost} of {flood * count} lost"
        )
        print(f"GET /version meanwhile: {_spread(asked)}")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answers(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        try:
            async with http.get(url + "/health/live"):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)


def _event(name: str) -> bytes:
    return json.dumps({"sensor": "bench", "time": time.time(), "kind": "command", "data": name}).encode()


def _spread(took: list[float]) -> str:
    ordered = sorted(took)
    return (
        f"median {statistics.median(ordered):.0f} ms, 95th percentile {ordered[int(0.95 * len(ordered)) - 1]:.0f} ms, "
        f"longest {ordered[-1]:.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--flood", type=int, default=1000)
    asked = parser.parse_args()
    allow_files(asked.clients)
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder, embedded_stack(Path(folder)) as stack:
        port = free_port()
        http = msgspec.structs.replace(stack.settings.http, listen=f"127.0.0.1:{port}")
        settings = msgspec.structs.replace(stack.settings, http=http)
        server = Running("serve", settings, Path(folder) / "serve.log")
        try:
            asyncio.run(measure(settings, f"http://127.0.0.1:{port}", asked.clients, asked.tries, asked.flood))
            status = Path(f"/proc/{server.pid}/status").read_text()
            print("memory of the API:", next(line for line in status.splitlines() if line.startswith("VmRSS")))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
