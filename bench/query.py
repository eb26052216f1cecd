"""How fast answers are over 10 million events and a million sessions.

Rows are made by ClickHouse itself (INSERT … SELECT FROM numbers), so this measures reading alone. Each call goes
through the real server over HTTP. "API ms" is the time in which no query was under way; "raw" is the SQL of the page
alone, without the totals, sent by the same client. Run it on an idle machine:

    python -m bench.query [--events 10000000] [--sessions 1000000] [--sensors 24] [--runs 40]
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import clickhouse_connect
import msgspec

from query_api import sql
from query_api.dialects import honeytrap_rows as rows
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
_RANDOM = ", ".join(f"cityHash64(number, {n}) AS n{n}" for n in range(1, 6))
_FROM = f"FROM (SELECT number, {_RANDOM} FROM numbers({{first:UInt64}}, {{count:UInt64}}))"  # noqa: S608 - text of our own
_SENSOR = f"concat({_NAMES}[1 + n1 % 6], toString(n2 % {{each:UInt64}}))"

_EVENTS = f"""
INSERT INTO events (sensor, time, kind, type, session_id, token, location, protocol, client_ip, client_port,
    server_ip, server_port, user, data, details, record_id, ingested_at, _epoch, _topic, _partition, _offset)
SELECT {_SENSOR}, toDateTime64('2026-10-20 00:00:00', 6, 'UTC') + toIntervalMicrosecond(number * 259200 + n3 % 250000),
    {_KINDS}[1 + n4 % 10], {_CODES}[1 + n4 % 10], lower(hex(intDiv(number, 10))), 'token', 'unknown',
    {_PROTOCOLS}[1 + n1 % 6], concat('203.0.', toString(n5 % 256), '.', toString(n5 % 251)), 1024 + n5 % 60000,
    '10.0.0.5', 22, 'root', concat('wget http://198.51.100.', toString(n5 % 256), '/', lower(hex(n3))),
    concat('{{"input":"', lower(hex(n5)), '"}}'), concat('epoch/sensor.events/', toString(number)), now64(3),
    'epoch', 'sensor.events', number % 4, intDiv(number, 4)
{_FROM}"""
_SESSIONS = f"""
INSERT INTO sessions (session_id, sensor, state, started_at, ended_at, last_activity_at, duration, protocol,
    client_ip, client_port, server_ip, server_port, user, event_count, revision, version, created_at, modified_at)
SELECT lower(hex(number)), {_SENSOR}, if(n3 % 10 = 0, 'open', 'closed') AS now,
    toDateTime64('2026-10-20 00:00:00', 6, 'UTC') + toIntervalMicrosecond(number * 2592000) AS began,
    if(now = 'open', NULL, began + toIntervalMicrosecond(n3 % 100000000)) AS closed, coalesce(closed, began),
    if(now = 'open', NULL, n3 % 100000000 / 1e6), {_PROTOCOLS}[1 + n1 % 6], concat('203.0.', toString(n3 % 256), '.1'),
    1024 + n3 % 60000, '10.0.0.5', 22, 'root', 10, {{revision:UInt64}}, {{revision:UInt64}}, began, began
{_FROM}"""


def fill(settings: Settings, events: int, sessions: int, sensors: int) -> None:
    """The events in blocks; the sessions, each in two versions."""
    store = settings.clickhouse
    client = clickhouse_connect.get_client(
        dsn=store.url, username=store.writer, password=store.writer_password, database=store.database
    )
    each = max(1, sensors // 6)
    for first in range(0, events, _BLOCK):
        client.command(_EVENTS, parameters={"first": first, "count": min(_BLOCK, events - first), "each": each})
    for revision in (1, 2):
        client.command(_SESSIONS, parameters={"first": 0, "count": sessions, "each": each, "revision": revision})
    client.close()


async def measured(runs: int, call: Callable[[], Awaitable[Any]]) -> tuple[float, float, float]:
    """Median and 95th percentile in milliseconds, after three calls that do not count; the mean of all calls."""
    times = []
    for _ in range(runs + 3):
        began = time.perf_counter()
        await call()
        times.append((time.perf_counter() - began) * 1000)
    counted = sorted(times[3:])
    high = counted[min(len(counted) - 1, int(len(counted) * 0.95))]
    return statistics.median(counted), high, statistics.mean(times)


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("events: newest 10", "/events", {"response_per_page": 10}),
    (
        "events: 10, regex and types",
        "/events",
        {"response_per_page": 10, "types": [1, 5, 20], "sensors": ["ping", "^connect"]},
    ),
    ("events: 10, one regex and types", "/events", {"response_per_page": 10, "types": [5, 51], "sensors": ["^ssh_"]}),
    ("events: 10, types only", "/events", {"response_per_page": 10, "types": [5, 51]}),
    ("events: 10, kinds by regex", "/events", {"response_per_page": 10, "types": ["^login"]}),
    ("events: page 1000 of 10", "/events", {"response_per_page": 10, "page": 1000, "sensors": ["^ssh_"]}),
    ("events: 1000 rows", "/events", {"response_per_page": 1000, "sensors": ["^ssh_"]}),
    ("sessions: newest 10", "/sessions", {"response_per_page": 10}),
    ("sessions: 10, regex and types", "/sessions", {"response_per_page": 10, "types": [5], "sensors": ["^ssh_"]}),
]


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


#: Typical calls of the other dialects' clients: a page bounded by time or sensor, one session, its events.
OTHERS: list[tuple[str, str]] = [
    ("sps: newest 10, all fields", "/api/audit/sessions?limit=10&fields=*"),
    (
        "sps: 500 of a day, one protocol",
        "/api/audit/sessions?start=2026-11-10T00:00:00&end=2026-11-11T00:00:00&q=protocol:ssh",
    ),
    ("sps: by address", "/api/audit/sessions?limit=10&q=client.ip:203.0.113.1&fields=*"),
    ("fudo: newest 10", "/api/v2/session?limit=10"),
    ("fudo: 10 by protocol and time", "/api/v2/session?limit=10&filter=protocol.eq(ssh),started_at.ge(2026-11-10)"),
]


class Clock:
    """How long at least one query was on its way to ClickHouse and back, by the API's own client."""

    def __init__(self, connection: Connection) -> None:
        self.seconds = 0.0
        self._open = 0
        self._began = 0.0
        self._read = connection.read
        connection.read = self._timed  # type: ignore[method-assign]

    async def _timed(self, statement: Statement, restriction: dict[str, str]) -> bytes:
        if not self._open:
            self._began = time.perf_counter()
        self._open += 1
        try:
            return await self._read(statement, restriction)
        finally:
            self._open -= 1
            if not self._open:
                self.seconds += time.perf_counter() - self._began


async def ask(settings: Settings, runs: int, events: int) -> None:
    app = make_app(settings, follow_health=False)
    listener = Listener(app, settings.http.connections)
    base = f"http://127.0.0.1:{await listener.start('127.0.0.1', 0, None)}"
    connection = Connection(settings)
    reader = Reader(connection, None)
    clock = Clock(app[CONNECTION])
    print(f"{'':34} {'p50 ms':>8} {'p95 ms':>8} {'API ms':>8} {'raw p50':>8} {'ratio':>6}")
    async with aiohttp.ClientSession() as http:
        for name, path, body in CALLS:
            data = msgspec.json.encode(body)

            async def call(path: str = path, data: bytes = data) -> None:
                async with http.get(base + path, data=data) as answer:
                    await answer.read()
                    assert answer.status == 200

            statement = raw_page(path, body)

            async def raw(statement: Statement = statement) -> None:
                await reader.read(statement)

            clock.seconds = 0.0
            median, high, mean = await measured(runs, call)
            added = mean - clock.seconds * 1000 / (runs + 3)
            by_hand, _, _ = await measured(max(5, runs // 4), raw)
            print(f"{name:34} {median:8.1f} {high:8.1f} {added:8.1f} {by_hand:8.1f} {median / by_hand:6.2f}")
        for name, path in OTHERS:

            async def other(path: str = path) -> None:
                async with http.get(base + path) as answer:
                    assert answer.status == 200, await answer.text()
                    await answer.read()

            clock.seconds = 0.0
            median, high, mean = await measured(runs, other)
            added = mean - clock.seconds * 1000 / (runs + 3)
            print(f"{name:34} {median:8.1f} {high:8.1f} {added:8.1f}")
        began, size = time.perf_counter(), 0
        async with http.get(f"{base}/events?sensors=^ssh_0$") as answer:
            async for chunk in answer.content.iter_any():
                size += len(chunk)
        seconds = time.perf_counter() - began
        print(f"unpaged, one sensor of {events:,} events: {size / 1e6:.0f} MB in {seconds:.1f} s")
    await connection.close()
    await listener.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--sensors", type=int, default=24)
    parser.add_argument("--runs", type=int, default=40)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder,
        embedded_stack(Path(folder)) as stack,
    ):
        print(f"filling {options.events:,} events of {options.sensors} sensors …")
        fill(stack.settings, options.events, options.sessions, options.sensors)
        asyncio.run(ask(stack.settings, options.runs, options.events))


if __name__ == "__main__":
    main()
