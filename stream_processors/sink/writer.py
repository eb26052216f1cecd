"""The one place that writes to ClickHouse: over HTTP, as the user ``writer``."""

import asyncio
import random
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import aiohttp
import msgspec
from clickhouse_connect.driver import create_async_client
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.parameters import portions
from schemas.settings import ClickHouse
from schemas.times import SECOND
from schemas.topics import SESSIONS
from stream_processors.imports import Imported, Origin
from stream_processors.sink import statements
from stream_processors.sink.alerts import AlertRules
from stream_processors.sink.answers import meaning_of
from stream_processors.sink.ledger import query_id_of, token_of
from stream_processors.sink.places import Place
from stream_processors.sink.spool import Row

#: One more than the largest block: the server must never split one, a part of a block would be visible alone.
_ONE_BLOCK = 1 << 30

_INSERT_SETTINGS = {
    "async_insert": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "max_insert_block_size": _ONE_BLOCK,
    "max_insert_block_size_bytes": 0,
    "min_insert_block_size_rows": _ONE_BLOCK,
    "min_insert_block_size_bytes": 0,
    # Several threads would make several blocks of one body.
    "max_threads": 1,
    "max_insert_threads": 1,
    "input_format_parallel_parsing": 0,
    "input_format_skip_unknown_fields": 0,
    # Details are an object in the message and text in the table.
    "input_format_json_read_objects_as_strings": 1,
}

#: Bytes of one question for imported ids: the server takes 128 KiB of a parameter.
_QUESTION = 65_536

#: Seconds.
_HOUR = 3600

_encode_lines = msgspec.json.Encoder().encode_lines


class Writer:
    """Statements of the sink. Each raises UnansweredError when ClickHouse is away; the caller tries again."""

    def __init__(self, settings: ClickHouse, alerts: AlertRules | None = None, *, timeout: float = 60.0) -> None:
        self._settings = settings
        self._alerts = alerts or AlertRules()
        self._insert_events = statements.insert_events(self._alerts.expression)
        self._timeout = timeout
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()

    async def connect(self) -> None:
        """Only saves time: every statement connects where that is still to be done."""
        await self._connected()

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def insert(
        self,
        place: Place,
        owner: int,
        rows: Sequence[Row],
        label: str,
        ingested_at: int,
    ) -> None:
        """Store these rows as one part, or nothing of them; ``label`` names them within their partition.

        Raises RefusedError, FencedError, UnansweredError. The same call again is harmless (``ledger``: ambiguous).
        """
        of_sessions = place.topic == SESSIONS
        await self._command(
            statements.INSERT_SESSIONS if of_sessions else self._insert_events,
            {
                **({} if of_sessions else self._alerts.parameters),
                **_of(place),
                "owner": owner,
                "ingested_at": ingested_at,
            },
            data=_encode_lines(rows),
            settings={
                **_INSERT_SETTINGS,
                "insert_deduplication_token": token_of(place, label),
                "query_id": query_id_of(place, owner, label),
            },
        )

    async def take_over(self, places: Sequence[Place]) -> dict[Place, int]:
        """Become the owner of these partitions: from here on nobody else stores rows of them.

        An owner is one more than any before, and at least the time in microseconds: two sinks that take over at once
        then differ, and a number is not given again after the rows of ``sink_owners`` expired.
        """
        if not places:
            return {}
        found = await self._query(statements.OWNERS, {"epochs": sorted({place.epoch for place in places})})
        highest = {(epoch, topic, partition): owner for epoch, topic, partition, owner in found}
        owners = {
            place: max(
                highest.get((place.epoch, place.topic, place.partition), 0) + random.randint(1, 1 << 16),
                time.time_ns() // 1000,
            )
            for place in places
        }
        await self._insert_owners(owners)
        # Inserts of a former owner that passed the fence before our row was there.
        await self._command(statements.KILL, {"prefixes": [place.query_prefix() for place in places]})
        return owners

    async def frontiers(self, starts: Mapping[Place, int]) -> dict[Place, int]:
        """One more than the highest stored offset of each partition, at least its start."""
        found = dict(starts)
        for epoch, topic in sorted({(place.epoch, place.topic) for place in starts}):
            if topic == SESSIONS:
                # Sessions carry no position: a version that is stored twice is one session all the same.
                continue
            first = min(start for place, start in starts.items() if (place.epoch, place.topic) == (epoch, topic))
            rows = await self._query(statements.FRONTIERS, {"epoch": epoch, "topic": topic, "first": first})
            for partition, highest in rows:
                place = Place(epoch, topic, partition)
                if place in found:
                    found[place] = max(found[place], highest + 1)
        return found

    async def stored(self, place: Place, first: int, last: int) -> set[tuple[int, int]]:
        """Offset and index of the partition's stored rows between two offsets, both included."""
        rows = await self._query(statements.STORED, _range(place, first, last))
        return {(offset, index) for offset, index in rows}

    async def forget(self, place: Place, first: int, last: int, kept: Collection[int]) -> None:
        """Delete the partition's rows between two offsets, both included, but for those of ``kept``. Whoever calls it
        owns the partition, and is the only one who stores there again."""
        await self._command(
            statements.FORGET,
            {**_range(place, first, last), "kept": sorted(kept)},
            settings={"lightweight_deletes_sync": 2},
        )

    async def hours(self, place: Place, first: int, last: int) -> set[int]:
        """The hours of event time, in seconds since 1970, of the partition's rows between two offsets."""
        return {int(hour) for (hour,) in await self._query(statements.HOURS, _range(place, first, last))}

    async def recount(self, place: Place, owner: int, hours: Sequence[int]) -> None:
        """Let the roll-up of events say of these hours, ascending, what the table has of the partition.

        ``owner`` inserts nothing meanwhile. Raises FencedError too; the same call again is harmless.
        """
        label = f"recount:{hours[0]}-{hours[-1]}"
        await self._command(
            statements.RECOUNT,
            {
                **_of(place),
                "owner": owner,
                "hours": hours,
                "begin": hours[0] * SECOND,
                "end": (hours[-1] + _HOUR) * SECOND,
            },
            settings={
                "async_insert": 0,
                # Equal differences at two times are two differences.
                "insert_deduplication_token": token_of(place, f"{label}@{owner}:{time.time_ns()}"),
                # While an attempt without answer is running still, ClickHouse refuses another of the same id.
                "query_id": query_id_of(place, owner, label),
            },
        )

    async def name_devices(self, place: Place, first: int, last: int) -> None:
        """Keep what the partition's rows between two offsets, both included, say of devices."""
        await self._command(statements.NAME_DEVICES, _range(place, first, last), settings={"async_insert": 0})

    async def imported(self, asked: Sequence[Imported]) -> dict[str, set[Origin]]:
        """Where the ids of imported messages are stored, those that are."""
        found: dict[str, set[Origin]] = {}
        timed = [one for one in asked if one.time is not None]
        for some in portions(timed, _size_of, _QUESTION):
            times = {"times": [one.time for one in some]}
            await self._find(statements.IMPORTED, some, times, found)
        for some in portions((one for one in asked if one.time is None), _size_of, _QUESTION):
            await self._find(statements.IMPORTED_AT_ANY_TIME, some, {}, found)
        return found

    async def _find(
        self, statement: str, asked: Sequence[Imported], more: dict[str, Any], found: dict[str, set[Origin]]
    ) -> None:
        parameters = {"ids": [one.record_id for one in asked], "sensors": [one.sensor for one in asked], **more}
        for record_id, epoch, topic, partition, offset in await self._query(statement, parameters):
            found.setdefault(record_id, set()).add((epoch, topic, partition, offset))

    async def active_parts(self) -> int:
        """Active parts of the fullest table partition that the sink writes to."""
        rows = await self._query(statements.ACTIVE_PARTS, {})
        return int(rows[0][0]) if rows else 0

    async def _insert_owners(self, owners: dict[Place, int]) -> None:
        client = await self._connected()
        try:
            await client.insert(
                "sink_owners",
                [[place.epoch, place.topic, place.partition, owner] for place, owner in owners.items()],
                column_names=["epoch", "topic", "partition", "owner"],
                settings={"async_insert": 0},
            )
        except (ClickHouseError, aiohttp.ClientError, OSError) as error:
            raise meaning_of(getattr(error, "code", None), str(error)) from error

    async def _command(
        self,
        statement: str,
        parameters: dict[str, Any],
        data: bytes | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        client = await self._connected()
        try:
            await client.command(statement, parameters=parameters, data=data, settings=settings)
        except (ClickHouseError, aiohttp.ClientError, OSError) as error:
            raise meaning_of(getattr(error, "code", None), str(error)) from error

    async def _query(self, statement: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
        client = await self._connected()
        try:
            rows: Sequence[Sequence[Any]] = (await client.query(statement, parameters=parameters)).result_rows
        except (ClickHouseError, aiohttp.ClientError, OSError) as error:
            raise meaning_of(getattr(error, "code", None), str(error)) from error
        return rows

    async def _connected(self) -> AsyncClient:
        async with self._connecting:
            if self._client is None:
                settings = self._settings
                options: dict[str, Any] = {"dsn": settings.url, "username": settings.writer}
                try:
                    self._client = await create_async_client(
                        **options,
                        password=settings.writer_password,
                        database=settings.database,
                        compress=False,
                        autogenerate_session_id=False,
                        connect_timeout=5,
                        send_receive_timeout=int(self._timeout),
                    )
                except (ClickHouseError, aiohttp.ClientError, OSError) as error:
                    raise meaning_of(getattr(error, "code", None), str(error)) from error
            return self._client


def _range(place: Place, first: int, last: int) -> dict[str, Any]:
    return {**_of(place), "first": first, "last": last}


def _of(place: Place) -> dict[str, Any]:
    return {"epoch": place.epoch, "topic": place.topic, "partition": place.partition}


def _size_of(one: Imported) -> int:
    return one.size
