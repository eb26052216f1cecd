"""What must be true after everything that was done; every complaint names what differs."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from schemas import topics
from schemas.dead_letters import DeadLetter
from schemas.records import Connection, Session
from schemas.settings import Settings
from schemas.times import rfc3339
from tests.chaos.ledger import Ledger, Position
from tests.comparing import rows
from tests.stack import run_aside
from tests.workers import messages

#: Seconds until ClickHouse answers that has just been started.
_BEGINS = 60.0
#: Differences that a complaint spells out; it counts the others.
_SHOWN = 5
#: A session key of this many parts names (sensor, session id).
_PARTS_WITH_ID = 2

_SESSIONS = """SELECT * REPLACE (
    toUnixTimestamp64Micro(started_at) AS started_at,
    toUnixTimestamp64Micro(ended_at) AS ended_at,
    toUnixTimestamp64Micro(last_activity_at) AS last_activity_at,
    toUnixTimestamp64Micro(user_seen_at) AS user_seen_at,
    toUnixTimestamp64Micro(created_at) AS created_at,
    toUnixTimestamp64Micro(modified_at) AS modified_at)
FROM sessions_all WHERE NOT held AND NOT (removed AND has(flags, 'replaced'))"""

#: A record of a sensor is named by its position; those of the API have a request's id, which has no slash.
_STORED = "SELECT count() FROM events WHERE position(record_id, '/') > 0"
_POSITIONS = """SELECT _epoch, _topic, _partition, _offset, _index, count() FROM events
WHERE position(record_id, '/') > 0 GROUP BY ALL"""
_REQUESTS = """SELECT record_id, uniqExact(_epoch, _topic, _partition, _offset), count() FROM events
WHERE position(record_id, '/') = 0 GROUP BY ALL"""

#: What roll-ups and a recount of their sources say differently, hour by hour of event time.
_ROLL_UPS = {
    "events_by_hour": """SELECT hour, sensor, kind, sum(rolled), sum(counted) FROM (
        SELECT hour, sensor, kind, toInt64(events) AS rolled, 0 AS counted FROM events_by_hour
        UNION ALL
        SELECT toStartOfHour(time), sensor, kind, 0, toInt64(count()) FROM events GROUP BY 1, 2, 3)
    GROUP BY ALL HAVING sum(rolled) != sum(counted) ORDER BY ALL""",
    "sessions_by_hour": """SELECT hour, sensor, protocol, sum(opens), sum(closes), sum(lasted) FROM (
        SELECT hour, sensor, protocol, toInt64(opened) AS opens, toInt64(closed) AS closes, seconds AS lasted
        FROM sessions_by_hour FINAL
        UNION ALL
        SELECT toStartOfHour(started_at), sensor, protocol, -1, 0, 0 FROM sessions_current WHERE started_at IS NOT NULL
        UNION ALL
        SELECT toStartOfHour(ended_at), sensor, protocol, 0, -1, -ifNull(duration, 0)
        FROM sessions_current WHERE ended_at IS NOT NULL)
    GROUP BY ALL HAVING sum(opens) != 0 OR sum(closes) != 0 OR abs(sum(lasted)) > 0.001 ORDER BY ALL""",
}

_decode_sessions = msgspec.json.Decoder(Session).decode_lines


def client_of(settings: Settings) -> Client:
    """ClickHouse as the writer, without the proxy, once it answers: the last deed may have been its end."""
    deadline = time.monotonic() + _BEGINS
    while True:
        try:
            return clickhouse_connect.get_client(
                dsn=settings.clickhouse.url,
                username=settings.clickhouse.writer,
                password=settings.clickhouse.writer_password,
                database=settings.clickhouse.database,
            )
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def stored_events(client: Client) -> int:
    """Rows of ``events`` that sensors published, without FINAL."""
    return int(client.query(_STORED).result_rows[0][0])


def complaints_about_events(client: Client, epochs: Mapping[str, str], ledger: Ledger) -> list[str]:
    """Every record that was acknowledged and is no poison is one row, and there are no others."""
    found = client.query(_POSITIONS)
    counts: Counter[Position] = Counter()
    strange = []
    for epoch, topic, partition, offset, index, count in found.result_rows:
        counts[topic, partition, offset] += count
        if epoch != epochs[topic] or index:
            strange.append(f"{epoch}/{topic}/{partition}/{offset}/{index}")
    good = ledger.good()
    return [
        *_told("acknowledged records are not stored", good - counts.keys(), ledger),
        *_told("records are stored twice", [p for p, count in counts.items() if count > 1], ledger),
        *_told("rows that no sensor was told are safe", counts.keys() - good, ledger),
        *([f"{len(strange)} rows of another epoch or index: {strange[:_SHOWN]}"] if strange else []),
    ]


def complaints_about_letters(settings: Settings, ledger: Ledger) -> list[str]:
    """Poison is a dead letter each, and nothing else is. A letter written again after a crash is the same letter."""
    keys: dict[bytes, DeadLetter] = {}
    for message in run_aside(messages(settings, topics.DEAD_LETTERS)):
        if message.value is not None and message.key is not None:
            keys[message.key] = msgspec.json.decode(message.value, type=DeadLetter)
    counts = Counter((letter.topic, letter.partition, letter.offset) for letter in keys.values())
    poison = ledger.poison()
    others = [letter for letter in keys.values() if (letter.topic, letter.partition, letter.offset) not in poison]
    return [
        *_told("refused records are not in the dead letters", poison - counts.keys(), ledger),
        *_told("records have several dead letters", [p for p, count in counts.items() if count > 1], ledger),
        *(f"a dead letter of no poison: {letter}" for letter in others[:_SHOWN]),
    ]


def complaints_about_requests(client: Client, stored: Iterable[Session]) -> list[str]:
    """Every record of the API is one row, and did what it says to one session."""
    counts = client.query(_REQUESTS).result_rows
    known = {record_id for record_id, _, _ in counts}
    shown = Counter(request for one in stored for request in one.requests)
    return [
        *(f"request {record_id}: {n} rows of {m} records" for record_id, m, n in counts if m != n),
        *(f"request {name} is a row, and no session shows it" for name in known - shown.keys()),
        *(f"request {name} is shown by {n} sessions" for name, n in shown.items() if n > 1 or name not in known),
    ][:_SHOWN]


def stored_sessions(client: Client) -> list[Session]:
    """What analysts and the API see, and what the API has removed."""
    settings = {"output_format_json_quote_64bit_integers": 0}
    return _decode_sessions(client.raw_query(_SESSIONS, fmt="JSONEachRow", settings=settings))


def complaints_about_sessions(stored: list[Session], expected: list[Session], said: Iterable[Connection]) -> list[str]:
    """Sessions are those of the reference, field by field."""
    names = [(one["key"], one["session_id"]) for one in rows(stored)]
    is_there = dict(zip(names, rows(stored), strict=True))
    should_be = {(one["key"], one["session_id"]): one for one in rows(expected)}
    said = list(said)
    facts = {one.record_id: f"{one.action} {one.kind} {one.time}" for one in said}
    for (key, _), one in [*is_there.items(), *should_be.items()]:
        if len(msgspec.json.decode(key)) != _PARTS_WITH_ID:
            # Without an id records are equal by what they say; which of two equal ones is named, depends on arrival.
            for field in ("opened_by", "closed_by"):
                one[field] = facts.get(one[field], one[field])
    complaints: dict[str, list[str]] = defaultdict(list)
    if len(is_there) != len(names):
        complaints["sessions that are there twice"] = [str(Counter(names).most_common(_SHOWN))]
    for name in sorted(should_be.keys() | is_there.keys()):
        here, there = is_there.get(name), should_be.get(name)
        if here == there:
            continue
        if here is None or there is None:
            kind = "sessions are missing" if here is None else "sessions that should not be"
            complaints[kind].append(f"{name}: {_short(here or there or {})}\n{_history(said, name[0])}")
        else:
            fields = {field: (here[field], there[field]) for field in here if here[field] != there[field]}
            complaints["sessions differ (field: stored, expected)"].append(
                f"{name}: {fields}\n{_history(said, name[0])}"
            )
    return [f"{len(found)} {kind}:\n" + "\n".join(found[:_SHOWN]) for kind, found in complaints.items()]


def complaints_about_roll_ups(client: Client) -> list[str]:
    """Roll-ups are what a recount of their sources gives."""
    # By its own clock it takes half a minute.
    client.command("SYSTEM REFRESH VIEW sessions_by_hour_fill")
    client.command("SYSTEM WAIT VIEW sessions_by_hour_fill")
    found = {table: client.query(difference).result_rows for table, difference in _ROLL_UPS.items()}
    return [
        f"{len(rows)} hours of {table} differ from a recount: {rows[:_SHOWN]}" for table, rows in found.items() if rows
    ]


def _told(what: str, positions: Iterable[Position], ledger: Ledger) -> list[str]:
    found = sorted(positions)
    if not found:
        return []
    shown = "\n".join(f"  {position} {ledger.acknowledged.get(position)}" for position in found[:_SHOWN])
    return [f"{len(found)} {what}:\n{shown}"]


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value}


def _history(said: Iterable[Connection], key: str) -> str:
    """Everything that was said about a session key, in order of event time."""
    parts = msgspec.json.decode(key)
    mine = [
        one
        for one in said
        if (len(parts) == 2 and [one.sensor, one.session_id] == parts)
        or (len(parts) == 1 and one.mac.lower().replace(":", "") == parts[0])
        or (len(parts) == 4 and not one.session_id and f"{one.client_ip}:{one.client_port}" == parts[2])
    ]
    return "\n".join(
        f"    {rfc3339(one.time)} {one.action} {one.kind} {one.record_id}"
        for one in sorted(mine, key=lambda one: one.time)[:40]
    )
