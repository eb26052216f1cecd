"""docs/formats shows code and records: they are run and decoded here, so they cannot be wrong for long."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from producers.destination import destination_of
from producers.formats import DECODERS, Rejection
from producers.kafka.history import read_history
from schemas import topics
from schemas.dead_letters import Reason
from schemas.settings import Settings

DOCS = Path(__file__).parents[2] / "docs" / "formats"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.integration
async def test_the_python_shown_publishes_a_record(settings: Settings, sensor: str) -> None:
    [code] = blocks("README.md", "python")
    code = code.replace("127.0.0.1:9092", settings.kafka.bootstrap).replace("door-1", sensor)
    shown = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await asyncio.wait_for(shown.wait(), 60) == 0
    starts = {TopicPartition(topics.CONNECTIONS_IN, number): 0 for number in range(settings.kafka.partitions)}
    values = [m.value or b"" async for _, messages in read_history(settings.kafka, starts) for m in messages]
    [value] = [value for value in values if sensor.encode() in value]
    assert not isinstance(DECODERS["sojourn.connection"](value), Rejection)


def test_the_records_shown_decode() -> None:
    decoder = json.JSONDecoder()
    count = 0
    for block in blocks("sojourn.md", "json"):
        rest = block.strip()
        while rest:
            record, end = decoder.raw_decode(rest)
            rest = rest[end:].strip()
            assert not isinstance(destination_of("sojourn", json.dumps(record).encode()), Rejection)
            count += 1
    assert count == 3


def test_every_format_and_every_reason_of_a_decoder_is_explained() -> None:
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    for name in DECODERS:
        assert f"`{name}`" in text
    for reason in set(Reason) - {Reason.HOLE, Reason.REFUSED_BY_STORE}:
        assert f"| `{reason}` |" in text
