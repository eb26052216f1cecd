"""What is published of sessions, and perhaps not stored yet."""

import msgspec
import pytest
from aiokafka import TopicPartition

from producers.kafka.publisher import Publisher
from schemas import topics
from schemas.records import Session
from schemas.settings import Settings
from stream_processors.tail import read_tails

pytestmark = pytest.mark.integration


def version(sensor: str, name: str, revision: int) -> Session:
    return Session(session_id=name, sensor=sensor, key=f'["{sensor}","{name}"]', revision=revision, started_at=1)


async def test_the_tail_has_the_latest_version_of_each_session_or_of_the_wanted_ones_only(
    settings: Settings, sensor: str
) -> None:
    versions = [version(sensor, "a", 1), version(sensor, "b", 1), version(sensor, "a", 3), version(sensor, "a", 2)]
    async with Publisher(settings.kafka) as publisher:
        offsets = []
        for one in versions:
            future = await publisher.send(topics.SESSIONS, one.key.encode(), msgspec.json.encode(one), partition=0)
            offsets.append((await future).offset)
    starts = {TopicPartition(topics.SESSIONS, 0): offsets[0]}
    whole = (await read_tails(settings.kafka, starts))[0]
    assert {name: one for name, one in whole.items() if name[0] == sensor} == {
        (sensor, "a"): versions[2],
        (sensor, "b"): versions[1],
    }
    some = await read_tails(settings.kafka, starts, lambda one: one.sensor == sensor and one.key == versions[1].key)
    assert some == {0: {(sensor, "b"): versions[1]}}
