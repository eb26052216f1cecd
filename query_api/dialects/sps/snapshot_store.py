"""Snapshots as ClickHouse keeps them: what each is, and its sessions in order (hard-questions: SPS snapshot)."""

import secrets
from typing import Any

import msgspec

from query_api import keyed
from query_api.filters import Filter
from query_api.reader import Reader
from query_api.sql import Source, Statement

#: Seconds after its last use that a snapshot ends, and how many one user may have.
LIFETIME, PER_USER = 300, 10
#: Sessions of one snapshot.
LARGEST = 1_000_000
#: Seconds between two marks of use; a mark is an insert.
_MARK = 60
#: Seconds beyond its end before a snapshot's sessions are dropped, and how many are at once.
_MERCY, _AT_ONCE = 120, 20

_COLUMNS = "user, snapshot, bound_to, asked, filled, sessions"
_LIVE = f"touched > now64(3) - toIntervalSecond({LIFETIME})"
_ROW = "JSONCompactEachRow"
_SETTINGS = {"output_format_json_quote_64bit_integers": "0", "output_format_json_escape_forward_slashes": "0"}


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """``asked``: what chose its sessions; empty until they are chosen. ``age``: seconds since the last mark of use."""

    user: str
    snapshot: str
    bound_to: str
    asked: str = ""
    filled: bool = False
    sessions: int = 0
    age: float = 0.0


class SnapshotStore:
    """Reads as the one who asks, writes as the API."""

    def __init__(self, reader: Reader, writer: Reader) -> None:
        self._reader = reader
        self._writer = writer

    async def live(self, user: str) -> int:
        """How many snapshots of a user have not ended."""
        count = f"SELECT count() FROM sps_snapshots FINAL WHERE user = {{user:String}} AND {_LIVE}"  # noqa: S608
        return await self._reader.number(Statement(count, {"user": user}))

    async def make(self, user: str, bound_to: str) -> Snapshot:
        made = Snapshot(user, secrets.token_hex(16), bound_to)
        await self.mark(made)
        return made

    async def find(self, snapshot: str, user: str, bound_to: str) -> Snapshot | None:
        """None when it has ended, never was, or is somebody else's."""
        found = await self._reader.records(
            Statement(
                f"SELECT {_COLUMNS}, toFloat64(now64(3)) - toFloat64(touched) FROM sps_snapshots FINAL"  # noqa: S608
                " WHERE user = {user:String} AND snapshot = {snapshot:String} AND bound_to = {bound_to:String}"
                f" AND {_LIVE}",
                {"user": user, "snapshot": snapshot, "bound_to": bound_to},
                _SETTINGS,
                _ROW,
            )
        )
        return msgspec.convert(found[0], Snapshot) if found else None

    async def fill(self, snapshot: Snapshot, source: Source, chosen: Filter, asked: str) -> Snapshot:
        """Choose its sessions. The same again changes nothing: their block has the snapshot's name."""
        constant = Filter("{snapshot:String}", {"snapshot": snapshot.snapshot})
        statement = keyed.keys_into(source, chosen, "sps_snapshot_keys", constant, LARGEST + 1)
        one_block = {
            "insert_deduplication_token": snapshot.snapshot,
            "insert_deduplicate": "1",
            "max_insert_block_size": str(2 * LARGEST),
            "min_insert_block_size_rows": str(2 * LARGEST),
            "min_insert_block_size_bytes": "0",
            "max_insert_threads": "1",
        }
        await self._writer.read(msgspec.structs.replace(statement, settings=one_block))
        count = await self._reader.number(
            Statement(
                "SELECT count() FROM sps_snapshot_keys WHERE snapshot = {snapshot:String}",
                {"snapshot": snapshot.snapshot},
            )
        )
        filled = msgspec.structs.replace(snapshot, asked=asked, filled=True, sessions=count)
        await self.mark(filled)
        return filled

    async def mark(self, snapshot: Snapshot) -> None:
        """Its five minutes begin anew."""
        values: dict[str, Any] = {name: getattr(snapshot, name) for name in _COLUMNS.split(", ")}
        values["filled"] = int(snapshot.filled)
        await self._writer.read(
            Statement(
                f"INSERT INTO sps_snapshots ({_COLUMNS}) SELECT {{user:String}}, {{snapshot:String}},"
                " {bound_to:String}, {asked:String}, {filled:UInt8}, {sessions:UInt64}",
                values,
                format="",
            )
        )

    async def renew(self, snapshot: Snapshot) -> None:
        if snapshot.age > _MARK:
            await self.mark(snapshot)

    async def keys(self, snapshot: Snapshot, after: int, limit: int) -> tuple[int, list[list[str]]]:
        """The place of the last session of a page, and the keys of its sessions, an array for each column."""
        statement = Statement(
            "SELECT max(n), groupArray(toString(sensor)), groupArray(session_id) FROM ("
            "SELECT n, sensor, session_id FROM sps_snapshot_keys"
            " WHERE snapshot = {snapshot:String} AND n > {after:UInt64} ORDER BY n LIMIT {limit:UInt64})",
            {"snapshot": snapshot.snapshot, "after": after, "limit": limit},
            _SETTINGS,
            _ROW,
        )
        last, sensors, ids = (await self._reader.records(statement))[0]
        return int(last), [sensors, ids]

    async def drop_ended(self) -> None:
        """Sessions of snapshots that nobody can use any more, some at a time."""
        ended = await self._writer.records(
            Statement(
                "SELECT snapshot FROM sps_snapshots FINAL WHERE filled"  # noqa: S608
                f" AND touched < now64(3) - toIntervalSecond({LIFETIME + _MERCY})"
                " AND snapshot IN (SELECT DISTINCT snapshot FROM sps_snapshot_keys)"
                f" LIMIT {_AT_ONCE}",
                {},
                _SETTINGS,
                _ROW,
            )
        )
        for (snapshot,) in ended:
            await self.drop(snapshot)

    async def drop(self, snapshot: str) -> None:
        await self._writer.read(
            Statement(
                "ALTER TABLE sps_snapshot_keys DROP PARTITION {snapshot:String}", {"snapshot": snapshot}, format=""
            )
        )
