"""The stack that the other integration tests stand on."""

import clickhouse_connect
import pytest

from deploy.schema import apply_tables
from producers.kafka.epochs import apply_topics, read_epochs
from schemas.topics import all_topics
from tests.stack import Stack

pytestmark = pytest.mark.integration


async def test_every_topic_has_an_epoch_and_applying_again_keeps_it(stack: Stack) -> None:
    before = await read_epochs(stack.settings.kafka)
    assert {topic.name for topic in all_topics()} <= set(before)
    applied = await apply_topics(stack.settings.kafka)
    assert applied.created == []
    assert await read_epochs(stack.settings.kafka) == before


def test_applying_the_tables_again_changes_nothing(stack: Stack) -> None:
    assert apply_tables(stack.settings) == []


def test_the_reader_sees_the_tables(stack: Stack) -> None:
    store = stack.settings.clickhouse
    with clickhouse_connect.get_client(
        dsn=store.url, username=store.reader, password=store.reader_password, database=store.database
    ) as client:
        names = {row[0] for row in client.query("SHOW TABLES").result_rows}
    assert {"events", "sessions", "sessions_current", "sessions_all"} <= names
