"""``sojourn up --demo``: plays a recorded attack through Kafka and shows the sessions it made.

The recording is of a Cowrie honeypot on loopback. Its times are moved so that it ends now, and every run gets new
session ids: a sensor's id names one session for ever (hard-questions: one sensor id, several sessions).
"""

import asyncio
import json
import time
import uuid
from collections.abc import Iterable
from hashlib import blake2b
from importlib import resources

import clickhouse_connect
import msgspec
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.table import Table

from deploy.plan import Plan
from deploy.report import Report
from producers.destination import Destination, destination_of
from producers.kafka.publisher import Publisher
from schemas.settings import ClickHouse, Kafka
from schemas.times import parse_time, rfc3339

_PATIENCE_SECONDS = 60.0

_QUERY = """
SELECT session_id, toUnixTimestamp64Micro(started_at), duration, client_ip, client_port, protocol, user,
       event_count, state, end_reason
FROM sessions_current
WHERE session_id IN {ids:Array(String)}
ORDER BY started_at, session_id
"""


class Played(msgspec.Struct, frozen=True):
    """A recording made fresh: its lines, and the ids of its sessions."""

    lines: list[bytes]
    session_ids: list[str]


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """One session as the table shows it."""

    session_id: str
    started_at: int | None
    duration: float | None
    client_ip: str
    client_port: int
    protocol: str
    user: str
    event_count: int
    state: str
    end_reason: str


def recording() -> list[bytes]:
    """The lines of the recording that comes with Sojourn."""
    file = resources.files("deploy").joinpath("demo", "cowrie-live.json")
    return [line for line in file.read_bytes().splitlines() if line.strip()]


def made_fresh(lines: Iterable[bytes], now: int, run: str) -> Played:
    """The same lines with the last time at ``now`` (microseconds UTC), and session ids that belong to this ``run``."""
    records = [json.loads(line) for line in lines]
    shift = now - max(parse_time(record["timestamp"]) for record in records)
    ids: dict[str, str] = {}
    for record in records:
        old = record["session"]
        # Cowrie's ids have twelve hexadecimal digits.
        new = ids.setdefault(old, blake2b(f"{run}/{old}".encode(), digest_size=6).hexdigest())
        record["session"] = new
        record["message"] = record["message"].replace(old, new) if "message" in record else ""
        record["timestamp"] = rfc3339(parse_time(record["timestamp"]) + shift)
    fresh = [json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() for record in records]
    return Played(fresh, list(ids.values()))


async def play(plan: Plan, report: Report) -> None:
    """Publishes the recording, waits until all of it is visible, and prints what to look at. Never ends the stack."""
    settings = plan.settings
    played = made_fresh(recording(), time.time_ns() // 1000, uuid.uuid4().hex)
    began = time.monotonic()
    try:
        await _publish(settings.kafka, played.lines)
        shown = await _wait(settings.clickhouse, played)
    except (KafkaError, ClickHouseError, TimeoutError) as error:
        report.say(f"demo: {error}")
        return
    seconds = time.monotonic() - began
    report.say(
        f"\ndemo: {len(played.lines)} events of a recorded attack went through Kafka and became {len(shown)} sessions, "
        f"visible after {seconds:.1f} s:\n"
    )
    _print_table(shown)
    report.say("\nTry:")
    for line in curl_lines(plan.url, settings.clickhouse, plan.clickhouse is not None):
        report.say(f"  {line}")
    report.say("\nIt keeps running; Ctrl-C ends it.")


async def _publish(kafka: Kafka, lines: list[bytes]) -> None:
    async with Publisher(kafka, client="sojourn-demo") as publisher:
        sent = []
        for line in lines:
            destination = destination_of("cowrie", line)
            if not isinstance(destination, Destination):
                raise RuntimeError(f"the recording does not decode: {destination}")
            sent.append(await publisher.send(destination.topic, destination.key, line))
        await asyncio.gather(*sent)


async def _wait(store: ClickHouse, played: Played) -> list[Shown]:
    """Raises TimeoutError with what is visible by then."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    client = await asyncio.to_thread(
        clickhouse_connect.get_client,
        dsn=store.url,
        username=store.reader,
        password=store.reader_password,
        database=store.database,
    )
    try:
        while True:
            result = await asyncio.to_thread(client.query, _QUERY, {"ids": played.session_ids})
            shown = [Shown(*row) for row in result.result_rows]
            closed = [session for session in shown if session.state == "closed"]
            if len(closed) == len(played.session_ids) and sum(s.event_count for s in closed) == len(played.lines):
                return shown
            if time.monotonic() > deadline:
                events = sum(session.event_count for session in shown)
                raise TimeoutError(
                    f"after {_PATIENCE_SECONDS:.0f} s {len(shown)} of {len(played.session_ids)} sessions are visible, "
                    f"{len(closed)} of them closed, with {events} of {len(played.lines)} events"
                )
            await asyncio.sleep(0.1)
    finally:
        client.close()


def _print_table(sessions: list[Shown]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 2))
    for name in ("start (UTC)", "duration", "client", "protocol", "user", "events", "how it ended", "session"):
        table.add_column(name, justify="right" if name in ("duration", "events") else "left", no_wrap=True)
    for session in sessions:
        started = session.started_at
        table.add_row(
            rfc3339(started)[11:23] if started is not None else "not seen",
            f"{session.duration:.3f} s" if session.duration is not None else "unknown",
            f"{session.client_ip}:{session.client_port}",
            session.protocol,
            session.user or "-",
            str(session.event_count),
            session.end_reason or session.state,
            session.session_id,
        )
    console = Console(highlight=False)
    # A pipe has no width; a narrow terminal shows what fits.
    (console if console.is_terminal else Console(highlight=False, width=120)).print(table)


def curl_lines(url: str, store: ClickHouse, embedded: bool) -> list[str]:
    """Three commands that answer something after the demo."""
    user = "analyst:" if embedded else store.reader
    table = f"{store.database}.sessions_current"
    sql = f"SELECT protocol, user, count(), avg(duration) FROM {table} GROUP BY ALL FORMAT PrettyCompact"  # noqa: S608
    return [
        f"curl '{url}/sessions?sensors=^lab-&page=1&response_per_page=3'",
        f"curl '{url}/events?types=command&sensors=^lab-&page=1&response_per_page=3'",
        f"curl -u {user} '{store.url}/' --data-binary '{sql}'",
    ]
