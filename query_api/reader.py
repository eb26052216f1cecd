"""The one place that reads ClickHouse: clickhouse-connect's asynchronous client, limits on every query.

Measured against plain aiohttp on loopback: 2.6 ms (median) for the smallest query against 1.4 ms. The client is
asynchronous throughout, takes many queries at once, and a cancelled task closes the connection, which ends the query
in ClickHouse.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from query_api import sql
from query_api.auth.sensors import table_filters
from query_api.counts import Counts
from query_api.errors import ApiError, BadRequestError, UnavailableError
from query_api.limits import query_settings
from query_api.pulse import Pulse
from query_api.sql import Statement
from schemas.settings import Settings

#: Codes of ClickHouse whose cause is the size of what was asked: sending it again changes nothing.
_TOO_MUCH = {
    158: "would read more rows than one query may; filter more",
    241: "would need more memory than one query may; filter more or ask for smaller pages",
    307: "would read more bytes than one query may; filter more",
    396: "has a larger result than one query may; ask for smaller pages",
}
#: Codes whose cause may pass: load, limits of concurrency, a server or a schema not ready.
_BUSY = {
    60: "ClickHouse has no tables yet; `sojourn schema apply` makes them",
    81: "ClickHouse has no database yet; `sojourn schema apply` makes it",
    159: "ClickHouse did not finish within the time limit of one query; filter more, or try again later",
    160: "ClickHouse did not finish within the time limit of one query; filter more, or try again later",
    202: "ClickHouse is running as many queries as it may",
    394: "ClickHouse ended the query",
    452: "ClickHouse allows this API's user less than http.query_seconds, query_memory and query_rows ask for",
    497: "ClickHouse does not let this API read its tables",
    516: "ClickHouse does not know this API's user or password",
}
_INVALID_PATTERN = 427
#: A set has more rows than ``max_rows_in_set``, which only statements with another way set.
_SET_TOO_LARGE = 191
#: Code of whatever Poco throws; with these words it is a parameter of more than 131,072 bytes.
_POCO, _TOO_LONG = 1000, "Field value too long"
_AWAY = "ClickHouse cannot be reached"


class InvalidPatternError(Exception):
    """A regex is not RE2; the text is the reason."""


class TooManyError(Exception):
    """What a shortcut looks for is more than a few: the statement has another way."""


class Reader:
    """Reads what one principal may see: ``sensors`` restricts every query, whatever its SQL (None: everything)."""

    def __init__(self, connection: "Connection", sensors: str | None) -> None:
        self._connection = connection
        self._restriction = (
            {} if sensors is None else {"additional_table_filters": table_filters(sensors, connection.database)}
        )

    async def read(self, statement: Statement) -> bytes:
        """The whole result. Raises ApiError or InvalidPatternError."""
        try:
            return await self._connection.read(statement, self._restriction)
        except TooManyError:
            assert statement.otherwise is not None
            return await self._connection.read(statement.otherwise, self._restriction)

    async def number(self, statement: Statement) -> int:
        return int(await self.read(statement))

    async def counted(self, statement: Statement, table: str) -> int:
        """The number of a count over one table, kept while the table does not change."""
        connection = self._connection
        if connection.counts is None:
            return await self.number(statement)
        parts = (await connection.read(sql.parts(table), {})).decode()
        question = (statement.sql, msgspec.json.encode(statement.parameters), *self._restriction.values())
        return await connection.counts.of(question, parts, lambda: self.number(statement))

    async def records(self, statement: Statement) -> list[list[Any]]:
        """The rows of a result in JSONCompactEachRow."""
        return msgspec.json.decode(b"[" + b",".join((await self.read(statement)).splitlines()) + b"]")  # type: ignore[no-any-return]

    @asynccontextmanager
    async def stream(self, statement: Statement) -> AsyncIterator[AsyncIterator[bytes]]:
        """The result in chunks as they come. Raises ApiError before the first chunk or in the middle."""
        async with AsyncExitStack() as stack:
            try:
                chunks = await stack.enter_async_context(self._connection.stream(statement, self._restriction))
            except TooManyError:
                assert statement.otherwise is not None
                chunks = await stack.enter_async_context(
                    self._connection.stream(statement.otherwise, self._restriction)
                )
            yield chunks


class Connection:
    """The client. It connects with the first query, and again after ClickHouse was away.

    Handlers get a ``Reader`` instead (query_api.keys.reader_of), which knows what may be seen.
    """

    def __init__(self, settings: Settings, *, writes: bool = False) -> None:
        """``writes``: as the user that may change the API's own tables."""
        self.database = settings.clickhouse.database
        store = self._clickhouse = settings.clickhouse
        self._user = (store.api_writer, store.api_writer_password) if writes else (store.reader, store.reader_password)
        self._settings = query_settings(settings.http)
        # ClickHouse ends a query at its limit; this is for one that does not answer at all.
        self._timeout = settings.http.query_seconds + 5
        self._connections = settings.http.concurrency * 2 + 4
        # In a cluster a table has parts elsewhere, too.
        self.counts = None if store.cluster else Counts()
        self._pulse = Pulse(store.url)
        self._client: Any = None
        self._connecting = asyncio.Lock()

    async def read(self, statement: Statement, restriction: dict[str, str]) -> bytes:
        """The whole result, under these settings. Raises ApiError or InvalidPatternError."""
        client = await self._connected()
        try:
            asked = client.raw_query(statement.sql, **self._arguments(statement, restriction))
            body: bytes = await self._pulse.beside(asked)
        except (ClickHouseError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _explained(error) from error
        return body

    @asynccontextmanager
    async def stream(self, statement: Statement, restriction: dict[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """As ``read``, in chunks as they come."""
        client = await self._connected()
        try:
            asked = client.raw_stream(statement.sql, **self._arguments(statement, restriction))
            async with await self._pulse.beside(asked) as chunks:
                yield chunks
        except (ClickHouseError, aiohttp.ClientError, TimeoutError) as error:
            raise _explained(error) from error

    async def answers(self) -> bool:
        """Whether ClickHouse runs a query for us now."""
        try:
            return await self.read(Statement("SELECT 1"), {}) == b"1\n"
        except ApiError:
            return False

    async def close(self) -> None:
        await self._pulse.close()
        if self._client is not None:
            await self._client.close()

    def _arguments(self, statement: Statement, restriction: dict[str, str]) -> dict[str, Any]:
        return {
            "parameters": statement.parameters,
            "settings": {**self._settings, **statement.settings, **restriction},
            "fmt": statement.format,
        }

    async def _connected(self) -> Any:
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    self._client = await self._connect()
        return self._client

    async def _connect(self) -> Any:
        # Imported with the first query: it takes as long as the rest of the API to start.
        import clickhouse_connect

        url = urlsplit(self._clickhouse.url)
        try:
            connecting = clickhouse_connect.get_async_client(
                interface=url.scheme,
                host=url.hostname or "127.0.0.1",
                port=url.port or (8443 if url.scheme == "https" else 8123),
                username=self._user[0],
                password=self._user[1],
                database=self._clickhouse.database,
                compress=False,
                connect_timeout=2,
                send_receive_timeout=self._timeout,
                connector_limit=self._connections,
                connector_limit_per_host=self._connections,
                # A request of ours is one query: whoever asked may ask again.
                query_retries=0,
                autogenerate_session_id=False,
                # A hundred regexes do not fit into a URL.
                form_encode_query_params=True,
            )
            return await self._pulse.beside(connecting)
        except (ClickHouseError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _explained(error) from error


def _explained(error: BaseException) -> Exception:
    """What the error means to whoever asked; itself when it is a bug of ours."""
    code = error.code if isinstance(error, Error) else None
    if code == _INVALID_PATTERN:
        return InvalidPatternError(_pattern_reason(str(error)))
    if code == _SET_TOO_LARGE:
        return TooManyError()
    if code == 241 and "(total)" in str(error):
        return UnavailableError("ClickHouse has no memory left for another query", retry_after=2)
    if code == _POCO and _TOO_LONG in str(error):
        return BadRequestError("the request has a value of more than 128 KiB; a shorter one was expected")
    if code in _TOO_MUCH:
        return BadRequestError(f"the request {_TOO_MUCH[code]}")
    if code in _BUSY:
        return UnavailableError(_BUSY[code], retry_after=2)
    if code is not None and isinstance(error, Exception):
        return error
    return UnavailableError(_AWAY, retry_after=2)


def _pattern_reason(text: str) -> str:
    """RE2's own words, without ClickHouse's around them."""
    _, found, rest = text.partition("error: ")
    return rest.partition(". Look at")[0] if found else "it cannot be compiled"
