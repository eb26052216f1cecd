"""Rows put straight into ClickHouse, as the sink would leave them."""

from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import msgspec

from schemas.settings import Settings
from schemas.times import to_datetime


def moment(text: str) -> str:
    """A time as ClickHouse reads it, from ``2013-04-06T01:11:10.329999``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def micros(value: int) -> str:
    return to_datetime(value).strftime("%Y-%m-%d %H:%M:%S.%f")


class Store:
    """Inserts as the writer; each row only names the columns that matter to the test."""

    def __init__(self, settings: Settings) -> None:
        store = settings.clickhouse
        self._client = clickhouse_connect.get_client(
            dsn=store.url, username=store.writer, password=store.writer_password, database=store.database
        )
        self._offset = 0

    def events(self, rows: list[dict[str, Any]]) -> None:
        """Positions are counted on, so that later rows stand later in the log."""
        placed = []
        for row in rows:
            placed.append(
                {"_epoch": "test", "_topic": "sensor.events", "_offset": self._offset, "details": "{}", **row}
            )
            self._offset += 1
        self._insert("events", placed)

    def sessions(self, rows: list[dict[str, Any]]) -> None:
        now = micros(1_800_000_000_000_000)
        # What a worker reads of a session must be there: in another test one takes over whatever is stored.
        base = {"state": "closed", "duration_quality": "unknown", "revision": 1, "created_at": now, "modified_at": now}
        self._insert("sessions", [{**base, "key": _key(row), **row} for row in rows])

    def many_events(self, sensor: str, count: int, step: int = 1_000_000) -> None:
        """``count`` events of about 400 bytes, ``step`` microseconds apart, made by ClickHouse."""
        self._client.command(
            "INSERT INTO events (sensor, time, kind, type, session_id, data, details, ingested_at, _epoch, _offset)"
            " SELECT {sensor:String},"
            " fromUnixTimestamp64Micro(1700000000000000 + toInt64(number) * {step:Int64}, 'UTC'),"
            " 'command', 0, toString(number), repeat('x', 100), '{}', now64(3), 'many', number"
            " FROM numbers({count:UInt64})",
            parameters={"sensor": sensor, "count": count, "step": step},
        )

    def many_sessions(self, sensor: str, count: int) -> None:
        """``count`` closed sessions, a second apart, with ids of eight digits from 00000000 on, made by ClickHouse."""
        self._client.command(
            "INSERT INTO sessions (sensor, session_id, key, state, end_reason, duration_quality, started_at, ended_at,"
            " last_activity_at, duration, protocol, client_ip, revision, version, created_at, modified_at)"
            " SELECT {sensor:String}, leftPad(toString(number), 8, '0') AS name,"
            " concat('[', toJSONString({sensor:String}), ',', toJSONString(name), ']'),"
            " 'closed', 'disconnect', 'exact',"
            " fromUnixTimestamp64Micro(1700000000000000 + toInt64(number) * 1000000, 'UTC') AS began, began + 1, began,"
            " 1, 'ssh', concat('198.51.', toString(intDiv(number, 250) % 256), '.', toString(number % 250)), 1, 1,"
            " now64(6), now64(6)"
            " FROM numbers({count:UInt64})",
            parameters={"sensor": sensor, "count": count},
        )

    def forget_snapshots(self) -> None:
        """One user may have few of them, and all tests are the same user."""
        self._client.command("TRUNCATE TABLE sps_snapshots")

    def number(self, sql: str, **parameters: Any) -> int:
        return int(str(self._client.command(sql, parameters=parameters)))

    def close(self) -> None:
        self._client.close()

    def _insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        body = b"\n".join(msgspec.json.encode({"ingested_at": "2026-01-01 00:00:00.000", **row}) for row in rows)
        self._client.raw_insert(table, insert_block=body, fmt="JSONEachRow", settings={"async_insert": 0})


def _key(row: dict[str, Any]) -> str:
    """The session key of a session with an id of its own."""
    return msgspec.json.encode([row["sensor"], row.get("session_id", "")]).decode()
