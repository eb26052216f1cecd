"""How fast answers are over 10 million events and a million sessions.

Rows are made by ClickHouse itself (INSERT … SELECT FROM numbers), so this measures reading alone. Each call goes
through the real server over HTTP. "raw" is the same SQL, with the same parameters and settings, sent straight to
ClickHouse by the same client: what the API asked at once is asked at once, what it asked later later. "over" is what
the API takes beside it (aim: 3 ms and a fifth of raw, "*" where it is more); "by hand" is a page alone as one would
write it, without the totals. Run it on an idle machine:

    python -m bench.query [--events 10000000] [--sessions 1000000] [--sensors 24] [--runs 40] [--only TEXT]
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import clickhouse_connect
import msgspec

from bench.query_calls import BEGIN, SPAN, Call, fudo, honeytrap, netalertx, sps
from query_api import sql
from query_api.dialects.honeytrap import rows
from query_api.filters import EVERYTHING, Filter, Names, matches_any
from query_api.keys import CONNECTION
from query_api.listener import Listener
from query_api.main import make_app
from query_api.paging import Page
from query_api.reader import Connection, Reader
from query_api.sources import EVENTS, SESSIONS
from query_api.sql import Source, Statement
from schemas.settings import Settings
from tests.stack import embedded_stack

_BLOCK = 1_000_000
_NAMES = "['ssh_', 'telnet_', 'http_', 'ping', 'ftp_', 'connect_']"
_PROTOCOLS = "['ssh', 'telnet', 'http', 'icmp', 'ftp', 'tcp']"
_KINDS = (
    "['connect', 'login.failed', 'command', 'login.success', 'close', 'command', 'client', 'download', 'ping', 'error']"
)
_CODES = "[5, 51, 0, 51, 6, 0, 0, 0, 3, 9]"
#: Ten events in a row are of one session, and of its sensor.
_RANDOM = "cityHash64({0}, 1) AS n1, cityHash64({0}, 2) AS n2, " + ", ".join(
    f"cityHash64(number, {n}) AS n{n}" for n in range(3, 6)
)
_FROM = "FROM (SELECT number, {} FROM numbers({{first:UInt64}}, {{count:UInt64}}))"
_TIME = "{begin:DateTime64(6, 'UTC')} + toIntervalMicrosecond(number * {step:UInt64}"
#: Sensors that watch devices, as NetAlertX does: two of twenty-four.
_DEVICES = "n1 % 6 = 5 AND n2 % {each:UInt64} < intDiv({each:UInt64}, 2)"
_SENSOR = f"concat({_NAMES}[1 + n1 % 6], toString(n2 % {{each:UInt64}}))"

_EVENTS = f"""
INSERT INTO events (sensor, time, kind, type, session_id, token, location, protocol, client_ip, client_port,
    server_ip, server_port, user, data, details, record_id, ingested_at, _epoch, _topic, _partition, _offset)
SELECT {_SENSOR}, {_TIME} + n3 % 250000),
    {_KINDS}[1 + n4 % 10], {_CODES}[1 + n4 % 10], lower(hex(intDiv(number, 10))), 'token', 'unknown',
    {_PROTOCOLS}[1 + n1 % 6], concat('203.0.', toString(n5 % 256), '.', toString(n5 % 251)), 1024 + n5 % 60000,
    '10.0.0.5', 22, 'root', concat('wget http://198.51.100.', toString(n5 % 256), '/', lower(hex(n3))),
    concat('{{"input":"', lower(hex(n5)), '"}}'), concat('epoch/sensor.events/', toString(number)), now64(3),
    'epoch', 'sensor.events', number % 4, intDiv(number, 4)
{_FROM.format(_RANDOM.format("intDiv(number, 10)"))}"""
_SESSIONS = f"""
INSERT INTO sessions (session_id, sensor, state, started_at, ended_at, last_activity_at, duration, protocol,
    client_ip, client_port, server_ip, server_port, mac, user, event_count, revision, version, created_at, modified_at)
SELECT lower(hex(number)), {_SENSOR}, if(n3 % 10 = 0, 'open', 'closed') AS now,
    {_TIME}) AS began,
    if(now = 'open', NULL, began + toIntervalMicrosecond(n3 % 100000000)) AS closed, coalesce(closed, began),
    if(now = 'open', NULL, n3 % 100000000 / 1e6), {_PROTOCOLS}[1 + n1 % 6], concat('203.0.', toString(n3 % 256), '.1'),
    1024 + n3 % 60000, '10.0.0.5', 22, if({_DEVICES}, concat('aa:bb:cc:00:00:', lower(hex(toUInt8(n5 % 200)))), ''),
    'root', 10, {{revision:UInt64}}, {{revision:UInt64}}, began, began
{_FROM.format(_RANDOM.format("number"))}"""


def fill(settings: Settings, events: int, sessions: int, sensors: int) -> None:
    """The events in blocks; the sessions, each in two versions, a twelfth of them of devices."""
    store = settings.clickhouse
    client = clickhouse_connect.get_client(
        dsn=store.url, username=store.writer, password=store.writer_password, database=store.database
    )
    each = max(1, sensors // 6)
    for first in range(0, events, _BLOCK):
        of_events = {"first": first, "count": min(_BLOCK, events - first), "each": each}
        client.command(_EVENTS, parameters={**of_events, "begin": BEGIN, "step": _step(events)})
    of_sessions = {"first": 0, "count": sessions, "each": each, "begin": BEGIN, "step": _step(sessions)}
    for revision in (1, 2):
        client.command(_SESSIONS, parameters={**of_sessions, "revision": revision})
    client.close()


def _step(rows: int) -> int:
    """Microseconds between two rows."""
    return SPAN // timedelta(microseconds=1) // max(rows, 1)


async def measured(runs: int, *calls: Callable[[], Awaitable[Any]]) -> list[tuple[float, float]]:
    """Of each call median and 95th percentile in milliseconds, after three that do not count; by turns, so that a
    machine that is busy for a while is so for all of them."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(runs + 3):
        for call, taken in zip(calls, times, strict=True):
            began = time.perf_counter()
            await call()
            taken.append((time.perf_counter() - began) * 1000)
    counted = [sorted(taken[3:]) for taken in times]
    return [(statistics.median(one), one[min(len(one) - 1, int(len(one) * 0.95))]) for one in counted]


def raw_page(path: str, body: dict[str, Any]) -> Statement:
    """The page alone, as one would write it by hand: no total, no matched, the regexes as they stand."""
    source: Source = EVENTS if path == "/events" else SESSIONS
    shape = rows.event_shape(False) if path == "/events" else rows.session_shape(False)
    names = Names()
    codes = tuple(code for code in body.get("types", []) if isinstance(code, int))
    kinds = [kind for kind in body.get("types", []) if isinstance(kind, str)]
    of_type: Filter = EVERYTHING
    if codes:
        of_type = (rows.event_codes if path == "/events" else rows.session_codes)(codes, names)
    filter = matches_any("sensor", body.get("sensors", []), "sensors", names).and_(of_type)
    filter = filter.and_(matches_any("kind", kinds, "types", names))
    return sql.page(source, filter, shape, Page(body["response_per_page"], body.get("page", 1)))


class Watch:
    """What the API asks of ClickHouse by its own client, and when."""

    def __init__(self, connection: Connection) -> None:
        self._asked: list[tuple[float, float, Statement]] = []
        self._read, self._stream = connection.read, connection.stream
        connection.read = self._watched  # type: ignore[method-assign]
        connection.stream = self._streamed  # type: ignore[method-assign]

    def rounds(self) -> list[list[Statement]]:
        """What was asked since the last look, in rounds: what began before the others of its round had ended."""
        rounds: list[list[Statement]] = []
        until = 0.0
        for began, ended, statement in sorted(self._asked, key=lambda one: one[0]):
            if began >= until:
                rounds.append([])
                until = ended
            rounds[-1].append(statement)
            until = max(until, ended)
        self._asked.clear()
        return rounds

    async def _watched(self, statement: Statement, restriction: dict[str, str]) -> bytes:
        began = time.perf_counter()
        found = await self._read(statement, restriction)
        self._asked.append((began, time.perf_counter(), statement))
        return found

    @asynccontextmanager
    async def _streamed(self, statement: Statement, restriction: dict[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        began = time.perf_counter()
        async with self._stream(statement, restriction) as chunks:
            yield chunks
        self._asked.append((began, time.perf_counter(), statement))


async def ask(settings: Settings, runs: int, calls: Sequence[Call]) -> None:
    app = make_app(settings, follow_health=False)
    listener = Listener(app, settings.http.connections)
    base = f"http://127.0.0.1:{await listener.start('127.0.0.1', 0, None)}"
    connection = Connection(settings)
    reader = Reader(connection, None)
    watch = Watch(app[CONNECTION])
    print(f"{'':34} {'p50 ms':>8} {'p95 ms':>8} {'raw p50':>8} {'over':>7} {'ratio':>6} {'by hand':>8}")
    async with aiohttp.ClientSession() as http:
        for one in calls:
            data = None if one.body is None else msgspec.json.encode(one.body)

            async def call(one: Call = one, data: bytes | None = data) -> None:
                async with http.get(base + one.path, data=data) as answer:
                    assert answer.status == 200, await answer.text()
                    await answer.read()

            await call()
            watch.rounds()
            # Counts are kept while nothing changes: the API does not ask for them again, and raw does not, either.
            await call()
            rounds = watch.rounds()

            async def raw(rounds: list[list[Statement]] = rounds) -> None:
                for together in rounds:
                    await asyncio.gather(*(reader.read(statement) for statement in together))

            by_turns: list[Callable[[], Awaitable[Any]]] = [call, raw]
            if one.body is not None:
                by_turns.append(partial(reader.read, raw_page(one.path, one.body)))
            (median, high), (straight, _), *by_hand = await measured(runs, *by_turns)
            over = median - straight
            mark = "*" if over > 3 + straight / 5 else " "
            line = f"{one.name:34} {median:8.1f} {high:8.1f} {straight:8.1f} {over:6.1f}{mark} {median / straight:6.2f}"
            line += "".join(f" {half:8.1f}" for half, _ in by_hand)
            print(line, flush=True)
        began, size = time.perf_counter(), 0
        async with http.get(f"{base}/events?sensors=^ssh_0$") as answer:
            async for chunk in answer.content.iter_any():
                size += len(chunk)
        print(f"unpaged, one sensor: {size / 1e6:.0f} MB in {time.perf_counter() - began:.1f} s")
    await connection.close()
    await listener.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--sensors", type=int, default=24)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--only", default="", help="calls with this text in their name")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder,
        embedded_stack(Path(folder)) as stack,
    ):
        print(f"filling {options.events:,} events of {options.sensors} sensors …")
        fill(stack.settings, options.events, options.sessions, options.sensors)
        # Of the middle of the month.
        # ClickHouse's hex gives whole bytes.
        session = f"{options.sessions // 2:x}"
        session = session.zfill(len(session) + len(session) % 2)
        calls = [*honeytrap(), *sps(session), *fudo(session), *netalertx("aa:bb:cc:00:00:1a")]
        chosen = [call for call in calls if options.only in call.name]
        asyncio.run(ask(stack.settings, options.runs, chosen))


if __name__ == "__main__":
    main()
