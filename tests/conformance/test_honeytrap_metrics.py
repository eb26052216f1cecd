"""Clients and containers by their sessions, as Honeycast had them."""

from pathlib import Path

import pytest

from deploy import auth
from schemas.scopes import Scope
from schemas.settings import Settings
from tests.conformance.conftest import Api, Apis
from tests.conformance.store import Store, moment

pytestmark = pytest.mark.integration


@pytest.fixture
def sessions(store: Store, sensor: str) -> str:
    """Two clients, two containers; a session that was removed, one without address."""
    base = {"sensor": sensor, "server_ip": "10.0.0.5", "protocol": "ssh", "event_count": 5}
    rows = [
        {"client_ip": "203.0.113.7", "container_id": "c1", "server_port": 22, "started_at": "2026-01-01T10:00:00"},
        {"client_ip": "203.0.113.7", "container_id": "c2", "server_port": 23, "started_at": "2026-01-03T10:00:00"},
        {"client_ip": "2001:db8::1", "container_id": "c1", "server_port": 24, "started_at": "2026-01-02T10:00:00"},
        {"client_ip": "203.0.113.7", "removed": True, "started_at": "2025-01-01T10:00:00"},
        {"client_ip": "", "container_id": "", "started_at": "2025-01-01T10:00:00"},
    ]
    store.sessions(
        [
            {**base, **row, "session_id": f"{sensor}-{n}", "started_at": moment(str(row["started_at"])),
             "last_activity_at": moment(str(row["started_at"])[:-2] + "09")}
            for n, row in enumerate(rows)
        ]
    )  # fmt: skip
    # The second client's session is open; a later version counts once.
    store.sessions(
        [
            {**base, **rows[2], "session_id": f"{sensor}-2", "state": "open",
             "started_at": moment("2026-01-02T10:00:00"),
             "last_activity_at": moment("2026-01-04T10:00:00"), "revision": 2, "event_count": 7, "protocol": "telnet"}
        ]
    )  # fmt: skip
    return sensor


async def test_clients_are_counted_by_sessions_and_events(api: Api, sessions: str) -> None:
    answer = await api.get("/metrics/attackers", {"sensors": [f"^{sessions}$"]})
    assert answer == {
        "total": 2,
        "attackers": [
            {
                "remote_addr": "203.0.113.7",
                "local_addr": "10.0.0.5:23",
                "container": {"name": "c2", "container_addr": "10.0.0.5:23", "meta": {}},
                "sessions": 2,
                "open": 0,
                "events": 10,
                "containers": 2,
                "first_seen": "01-01-2026 10:00:00:00",
                "last_seen": "03-01-2026 10:00:09:00",
            },
            {
                "remote_addr": "2001:db8::1",
                "local_addr": "10.0.0.5:24",
                "container": {"name": "c1", "container_addr": "10.0.0.5:24", "meta": {}},
                "sessions": 1,
                "open": 1,
                "events": 7,
                "containers": 1,
                "first_seen": "02-01-2026 10:00:00:00",
                "last_seen": "04-01-2026 10:00:00:00",
            },
        ],
    }


async def test_containers_are_counted_too_and_both_have_pages(api: Api, sessions: str) -> None:
    path = f"/metrics/containers?sensors=^{sessions}$&time_format=rfc3339&response_per_page=1"
    first, second = [await api.get(f"{path}&page={page}") for page in (1, 2)]
    assert (first["total"], first["response_per_page"], second["page"]) == (2, 1, 2)
    assert first["containers"][0] == {
        "name": "c1",
        "container_addr": "10.0.0.5:24",
        "meta": {},
        "sessions": 2,
        "open": 1,
        "events": 12,
        "attackers": 2,
        "first_seen": "2026-01-01T10:00:00.000000Z",
        "last_seen": "2026-01-04T10:00:00.000000Z",
    }
    assert second["containers"][0]["name"] == "c2"
    assert (await api.get(f"{path}&types=telnet"))["total"] == 1
    assert (await api.get(f"{path}&types=6&page=1"))["containers"][0]["sessions"] == 1


async def test_nothing_is_an_empty_list_and_errors_name_the_field(api: Api) -> None:
    assert await api.get("/metrics/attackers?sensors=^nobody-at-all$") == {"total": 0, "attackers": []}
    assert (await api.refused("/metrics/attackers?sensors=("))["field"] == "sensors"
    assert (await api.refused("/metrics/containers?page=1"))["field"] == "response_per_page"
    await api.refused("/metrics/nothing", status=404)


async def test_a_credential_counts_its_sensors_only(
    apis: Apis, settings: Settings, sessions: str, tmp_path: Path
) -> None:
    token = auth.add_token(tmp_path / "credentials.json", "other", [Scope.READ], "another-sensor")
    api = await apis.start(settings, auth_file=str(tmp_path / "credentials.json"))
    for path in ("/metrics/attackers", "/metrics/containers"):
        await api.refused(path, status=401)
        answer = await api.get(f"{path}?sensors={sessions}", headers={"Authorization": f"Bearer {token}"})
        assert answer["total"] == 0
