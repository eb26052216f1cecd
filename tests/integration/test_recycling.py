"""The embedded broker is drained and started anew at its mark, under load, and nobody loses or doubles a record."""

import asyncio
import json
import time
from pathlib import Path

import aiohttp
import pytest
from aiokafka.errors import KafkaError

from producers.kafka.publisher import Publisher
from producers.produce import produce
from schemas.records import Action, Connection
from schemas.settings import Kafka, Settings
from schemas.topics import EVENTS
from tests.stack import run_aside
from tests.up_process import Ports, Up, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

NUMBERS = "SELECT count(), uniqExact(data) FROM events WHERE sensor = {s:String}"
RECYCLES = 3
OPEN = 40


@pytest.fixture(autouse=True)
def _embedded_only(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--stack") != "embedded":
        pytest.skip("sojourn up starts embedded servers; another --stack was asked for")


def record(action: Action, number: int, at: float) -> Connection:
    return Connection(
        action=action,
        sensor="kept",
        session_id=f"s{number}",
        time=round(at * 1_000_000),
        protocol="tcp",
        client_ip="192.0.2.1",
        client_port=1000 + number,
    )


class Load:
    """Three producers at once: files through ``produce``, lines over HTTP, and a sensor that knows nothing of
    recycling."""

    def __init__(self, kafka: Kafka, http: str, folder: Path) -> None:
        self._kafka = kafka
        self._http = http
        self._folder = folder
        self.enough = asyncio.Event()
        self.imported = 0
        self.handed_in = 0
        self.published: list[int] = []
        self.refused: list[int] = []

    async def run(self) -> None:
        await asyncio.gather(self._import(), self._hand_in(), self._publish())

    async def _import(self) -> None:
        padding, settings = "x" * 8000, Settings(kafka=self._kafka)
        while not self.enough.is_set():
            file = self._folder / f"{self.imported}.jsonl"
            lines = [
                json.dumps({"sensor": "file", "time": 1_795_000_000 + number, "data": str(number), "more": padding})
                for number in range(self.imported, self.imported + 500)
            ]
            file.write_text("\n".join(lines))
            report = await asyncio.wait_for(produce(settings, "sojourn.event", [str(file)], rate=1500), 120)
            assert (report.published, report.failure) == (500, ""), report
            self.imported += 500
            file.unlink()

    async def _hand_in(self) -> None:
        """Ten lines at a time, the same again until the answer is that Kafka has them; the last, too."""
        taken = True
        async with aiohttp.ClientSession(headers={"Content-Type": "application/x-ndjson"}) as client:
            while not (taken and self.enough.is_set()):
                taken = False
                lines = [
                    json.dumps({"sensor": "over-http", "time": 1_795_000_000 + number, "data": str(number)})
                    for number in range(self.handed_in, self.handed_in + 10)
                ]
                try:
                    async with client.post(f"{self._http}/ingest/sojourn", data="\n".join(lines)) as answer:
                        assert answer.status in (200, 503), await answer.text()
                        taken = answer.status == 200
                        self.handed_in += 10 * taken
                except aiohttp.ClientConnectionError:
                    # The API ends, too, with what it answers.
                    pass
                await asyncio.sleep(0.1)

    async def _publish(self) -> None:
        """A number at a time is stored by the broker, or its sender is told that it is not: then it takes another."""
        async with Publisher(self._kafka) as publisher:
            first = 0
            while not self.enough.is_set():
                sent = {}
                for number in range(first, first + 50):
                    line = {"sensor": "outside", "time": 1_795_000_000 + number, "data": str(number), "kind": "command"}
                    sent[number] = await publisher.send(EVENTS, None, json.dumps(line).encode(), partition=number % 4)
                first += 50
                answers = await asyncio.gather(*sent.values(), return_exceptions=True)
                for each, answer in zip(sent, answers, strict=True):
                    if isinstance(answer, KafkaError):
                        self.refused.append(each)
                    else:
                        assert not isinstance(answer, BaseException), answer
                        self.published.append(each)
                await asyncio.sleep(0.02)


def test_three_recycles_under_load_lose_and_double_nothing_and_open_sessions_go_on(tmp_path: Path) -> None:
    ports = Ports()
    with Up(ports, *ports.options(), "--ephemeral", "--broker-memory=64MiB") as up:
        up.wait_ready()
        now = time.time() - 200
        up.publish(*(record(Action.CONNECT, number, now) for number in range(OPEN)))
        load = Load(Kafka(bootstrap=f"127.0.0.1:{ports.kafka}"), f"http://127.0.0.1:{ports.http}", tmp_path)

        def stored() -> set[int]:
            return {row[0] for row in up.rows("SELECT toInt64(data) FROM events WHERE sensor = 'outside'")}

        async def drive() -> None:
            running = asyncio.create_task(load.run())
            for number in range(1, RECYCLES + 1):
                for words in (
                    "^broker +recycling .*the mark is 64",
                    f"^broker +recycled +number {number}",
                    "broker +ready",
                ):
                    line = asyncio.create_task(asyncio.to_thread(up.wait_line, words, 120))
                    await asyncio.wait({running, line}, return_when=asyncio.FIRST_COMPLETED)
                    if running.done():
                        running.result()
                    await line
            await asyncio.to_thread(up.wait_health)
            load.enough.set()
            await running

        run_aside(drive())
        up.publish(*(record(Action.DISCONNECT, number, now + 10 + number) for number in range(OPEN)))
        up.wait_rows([(load.imported, load.imported)], NUMBERS, s="file")
        up.wait_rows([(load.handed_in, load.handed_in)], NUMBERS, s="over-http")
        wait_for("all that was acknowledged", lambda: stored() >= set(load.published), lambda: len(load.published))
        assert up.rows(NUMBERS, s="outside") == [(len(stored()),) * 2], "nothing twice"
        assert stored() <= {*load.published, *load.refused}
        sessions = (
            "SELECT groupArray(duration) FROM "
            "(SELECT * FROM sessions_current WHERE sensor = 'kept' AND state = 'closed' ORDER BY client_port)"
        )
        up.wait_rows([([10.0 + number for number in range(OPEN)],)], sessions)
        assert up.rows("SELECT uniqExact(_epoch) FROM events WHERE sensor = 'outside'") >= [(RECYCLES,)]
        assert not [line for line in up.lines if "cannot be held back" in line]
        wait_for("health", lambda: up.get("/health/ready")[0] == 200, up.lines)
        assert up.stop() == 0, "\n".join(up.lines)
