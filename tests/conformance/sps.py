"""Sessions and events for the tests of SPS, put into ClickHouse as the sink would leave them."""

from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from schemas.settings import Settings
from tests.conformance.conftest import Api, Apis
from tests.conformance.store import Store, micros, moment

SESSIONS = "/api/audit/sessions"
#: Start of the sessions that ``many`` makes, microseconds since 1970.
BEGIN = 1_700_000_000_000_000


@pytest.fixture
async def api(apis: Apis, settings: Settings) -> Api:
    """Over TLS: clients of SPS speak nothing else."""
    return await apis.start(settings, tls_self_signed=True)


def path(session_id: str) -> str:
    return f"{SESSIONS}/{quote(session_id, safe='')}"


def query(**parameters: Any) -> str:
    """A query string; ``_`` in a name stands for ``-``."""
    return "?" + "&".join(f"{name.replace('bin_', 'bin-')}={quote(str(value))}" for name, value in parameters.items())


def session(sensor: str, session_id: str, **columns: Any) -> dict[str, Any]:
    """A row of ``sessions`` that began and ended, of a sensor that names its sessions."""
    start = moment("2018-09-15T10:53:00")
    return {
        "sensor": sensor,
        "session_id": session_id,
        "key": msgspec.json.encode([sensor, session_id]).decode(),
        "started_at": start,
        "ended_at": moment("2018-09-15T10:53:57"),
        "last_activity_at": start,
        **columns,
    }


def many(store: Store, sensor: str, count: int, **columns: Any) -> list[str]:
    """``count`` sessions a second apart; their ids, newest first."""
    rows = [
        session(sensor, f"{sensor}.{n:05}", started_at=micros(BEGIN + n * 1_000_000), **columns) for n in range(count)
    ]
    store.sessions(rows)
    return [row["session_id"] for row in reversed(rows)]


def commands(store: Store, sensor: str, session_id: str, contents: list[str], **columns: Any) -> None:
    """An event of the kind command for each content, a second apart; the sensor numbers them from 1."""
    store.events(
        [
            {
                "sensor": sensor,
                "session_id": session_id,
                "time": micros(BEGIN + n * 1_000_000),
                "kind": "command",
                "content": content,
                "record_id": str(n),
                **columns,
            }
            for n, content in enumerate(contents, 1)
        ]
    )


def keys(answer: dict[str, Any]) -> list[str]:
    return [item["key"] for item in answer["items"]]
