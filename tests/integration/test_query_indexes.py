"""The main queries read what their filters leave, not the table: EXPLAIN indexes = 1 says so."""

import re
from collections.abc import Callable

import clickhouse_connect
import msgspec
import pytest

from query_api import keyed, sql
from query_api.auth.sensors import table_filters
from query_api.dialects.netalertx.asked import of_device
from query_api.dialects.netalertx.columns import touching
from query_api.dialects.sps.query import query_filter
from query_api.dialects.sps.session_fields import SESSION
from query_api.filters import EVERYTHING, Filter, Names, matches_any, one_of_texts
from query_api.limits import query_settings
from query_api.paging import Page
from query_api.reader import Connection, Reader, TooManyError
from query_api.shapes import Member, Shape
from query_api.sources import EVENTS, SESSIONS
from query_api.sql import Span, Statement
from schemas.settings import Settings
from schemas.times import SECOND
from tests.conformance.conftest import store
from tests.conformance.store import Store
from tests.stack import Stack

__all__ = ["store"]

pytestmark = pytest.mark.integration

_SHAPE = Shape((Member("session_id", "session_id"),))
_PAGE = Page(10)
#: many_events begins here, one event a second.
_BEGAN = 1_700_000_000 * SECOND
_HOUR = Span(_BEGAN, _BEGAN + 3600 * SECOND)
_ALL = Span(_BEGAN, _BEGAN + 200_000 * SECOND)
_OF_AN_HOUR = Filter(
    "page_time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')"
    " AND page_time < fromUnixTimestamp64Micro({to:Int64}, 'UTC')",
    {"from": _HOUR.start, "to": _HOUR.end},
)


def of_sensor(sensor: str) -> Filter:
    return matches_any("sensor", [f"^{sensor}$"], "sensors", Names())


def equal(column: str, value: str) -> Filter:
    return one_of_texts(column, [value], Names())


class Case(msgspec.Struct, frozen=True):
    """``index``: the kind of index that must leave granules out, and a word of its description."""

    name: str
    statement: Callable[[str], Statement]
    kind: str
    word: str


CASES = [
    Case(
        "a page of a sensor's events", lambda s: sql.page(EVENTS, of_sensor(s), _SHAPE, _PAGE), "PrimaryKey", "sensor"
    ),
    Case(
        "a page of a sensor's newest events",
        lambda s: sql.page(EVENTS, of_sensor(s), _SHAPE, _PAGE, _BEGAN + 15_000 * SECOND),
        "PrimaryKey",
        "time",
    ),
    Case(
        "events of an hour, of all sensors",
        lambda s: sql.window(EVENTS, EVERYTHING, _SHAPE, _HOUR, 0),
        "PrimaryKey",
        "time",
    ),
    Case(
        "events of a session",
        lambda s: sql.page(EVENTS, equal("session_id", "150000"), _SHAPE, _PAGE),
        "Skip",
        "session",
    ),
    Case("events of an address", lambda s: sql.count(EVENTS, equal("client_ip", "192.0.2.77")), "Skip", "client"),
    Case(
        "a page of a sensor's sessions",
        lambda s: keyed.page_keys(SESSIONS, of_sensor(s), _PAGE),
        "PrimaryKey",
        "sensor",
    ),
    Case("how many sessions a sensor has", lambda s: sql.count(SESSIONS, of_sensor(s)), "PrimaryKey", "sensor"),
    Case(
        "sessions by their keys",
        lambda s: keyed.rows_of_keys(SESSIONS, [[s, s], ["00000001", "00000002"]], _SHAPE),
        "PrimaryKey",
        "session_id",
    ),
    Case(
        "a session by its id alone",
        lambda s: keyed.newest_versions(SESSIONS, equal("session_id", "00150000"), 20),
        "PrimaryKey",
        "session_id",
    ),
    Case(
        "sessions of an address, in any case of its letters",
        lambda s: keyed.newest_versions(SESSIONS, query_filter("client.ip:192.0.2.77", SESSION, "q", Names()), 20),
        "Skip",
        "lower_client",
    ),
    Case(
        "sessions of a device, however its address is written",
        lambda s: keyed.some_keys(SESSIONS, of_device("AA-BB-CC-DD-EE-FF").and_(touching(0)), 20),
        "Skip",
        "device",
    ),
    Case(
        "sessions of all devices",
        lambda s: keyed.some_keys(SESSIONS, of_device("").and_(touching(0)), 20),
        "Skip",
        "of_devices",
    ),
    Case(
        "how many sessions of an hour are closed: of these alone versions are merged",
        lambda s: sql.count(SESSIONS, _OF_AN_HOUR.and_(Filter("state = 'closed'"))),
        "PrimaryKey",
        "session_id",
    ),
    Case(
        "the newest versions of all",
        lambda s: keyed.newest_versions(SESSIONS, EVERYTHING, 20),
        "Skip",
        "page",
    ),
    Case(
        "the newest candidates of an address",
        lambda s: keyed.newest_versions(SESSIONS, equal("client_ip", "192.0.2.77"), 20),
        "Skip",
        "client",
    ),
]


@pytest.fixture(scope="module")
def filled(stack: Stack) -> str:
    """A sensor with 160,000 events and as many sessions, among others that come before and after it."""
    sensor = "indexes-b"
    rows = Store(stack.settings)
    for name, count in (("indexes-a", 20_000), (sensor, 160_000), ("indexes-c", 20_000)):
        rows.many_events(name, count)
        rows.many_sessions(name, count)
    rows.close()
    return sensor


def explained(settings: Settings, statement: Statement, **more: str) -> str:
    store = settings.clickhouse
    with clickhouse_connect.get_client(
        dsn=store.url, username=store.reader, password=store.reader_password, database=store.database
    ) as client:
        rows = client.query(f"EXPLAIN indexes = 1 {statement.sql}", parameters=statement.parameters, settings=more)
    return "\n".join(row[0] for row in rows.result_rows)


def leaves_out(plan: str, kind: str, word: str) -> bool:
    """Whether an index of this kind that mentions the word passes on fewer granules than it gets."""
    for part in re.split(r"\n(?=\W*(?:MinMax|Partition|PrimaryKey|Skip)\n)", plan):
        granules = re.search(r"Granules: (\d+)/(\d+)", part)
        if kind in part.lstrip().splitlines()[0] and word in part and granules and int(granules[1]) < int(granules[2]):
            return True
    return False


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_main_query_is_bounded_by_an_index(settings: Settings, filled: str, case: Case) -> None:
    plan = explained(settings, case.statement(filled))
    assert leaves_out(plan, case.kind, case.word), plan


def test_a_restriction_to_sensors_is_one_by_the_primary_key(settings: Settings, filled: str) -> None:
    restriction = table_filters(filled, settings.clickhouse.database)
    for source in (EVENTS, SESSIONS):
        statement = sql.page(source, EVERYTHING, _SHAPE, _PAGE)
        assert not leaves_out(explained(settings, statement), "PrimaryKey", "sensor")
        plan = explained(settings, statement, additional_table_filters=restriction)
        assert leaves_out(plan, "PrimaryKey", "sensor"), plan


def test_counts_by_sensor_or_kind_read_the_projection(settings: Settings, filled: str) -> None:
    for filter in (Filter("kind = 'command'"), of_sensor(filled)):
        assert "ReadFromMergeTree (by_kind)" in explained(settings, sql.count(EVENTS, filter))


async def test_where_more_than_a_few_pass_the_versions_of_all_are_merged(settings: Settings, filled: str) -> None:
    connection = Connection(settings)
    try:
        statement = sql.count(SESSIONS, of_sensor(filled).and_(Filter("state = 'closed'")))
        with pytest.raises(TooManyError):
            await connection.read(statement, {})
        reader = Reader(connection, None)
        assert await reader.number(statement) == 160_000
        shown = sql.window(SESSIONS, of_sensor(filled).and_(Filter("state = 'closed'")), _SHAPE, _ALL, 0)
        async with reader.stream(shown) as chunks:
            assert sum([chunk.count(b"\n") async for chunk in chunks]) == 160_000 - 1
    finally:
        await connection.close()


def test_what_may_hold_for_an_old_version_is_looked_at_after_versions_are_merged(
    settings: Settings, filled: str
) -> None:
    filter = of_sensor(filled).and_(Filter("state = 'open'"))
    plan = explained(settings, keyed.page_keys(SESSIONS, filter, _PAGE), **query_settings(settings.http))
    before = "\n".join(re.findall(r"Prewhere filter column:.*", plan))
    assert "sensor" in before, plan
    assert "state" not in before and "removed" not in before, plan
