"""GET /devices/by-status, which the product's calendar of all devices takes its lines from."""

from pathlib import Path
from typing import Any

import pytest

from schemas.settings import Settings
from tests.conformance.conftest import Apis
from tests.conformance.netalertx import NetAlertX, a_mac, started, stored
from tests.conformance.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
async def asked(apis: Apis, settings: Settings, tmp_path: Path, sensor: str) -> NetAlertX:
    return await started(apis, settings, tmp_path / "credentials.json", sensor, timezone="Europe/Berlin")


async def test_devices_are_known_by_their_sessions(asked: NetAlertX, store: Store, sensor: str) -> None:
    here, lost, fresh = a_mac(), a_mac(), a_mac()
    closed = ("2025-08-01T10:00:00", "2025-08-01T12:00:00")
    stored(store, sensor, here, closed, client_name="b old name")
    stored(store, sensor, here.lower(), ("2025-08-02T10:00:00", None), client_ip="10.0.0.9")
    stored(store, sensor, lost, closed, client_name="a printer", disconnect_kind="Device Down")
    stored(store, sensor, fresh, closed, connect_kind="New Device")
    stored(store, sensor, a_mac(), closed, removed=True)
    stored(store, sensor, "", closed)

    async def found(status: str) -> list[str]:
        devices: list[dict[str, Any]] = await asked.ask("GET", f"/devices/by-status?status={status}")
        return [one["devMac"] for one in devices]

    devices = await asked.get("/devices/by-status")
    assert [one["devMac"] for one in devices if one["devMac"] != fresh] == [lost, here.lower()]
    assert [one for one in devices if one["devMac"] == here.lower()] == [
        {
            "id": here.lower(),
            "title": "b old name",
            "favorite": 0,
            "devMac": here.lower(),
            "devName": "b old name",
            "devOwner": "",
            "devLastIP": "10.0.0.9",
            "devPresentLastScan": 1,
            "devFirstConnection": "2025-08-01 12:00:00",
            "devLastConnection": "2025-08-02 12:00:00",
        }
    ]
    assert [one["title"] for one in devices if one["id"] == fresh] == [fresh]
    assert await found("my") == await found("all") == [one["devMac"] for one in devices]
    assert await found("online") == await found("connected") == [here.lower()]
    assert sorted(await found("offline")) == sorted([lost, fresh])
    assert await found("down") == [lost]
    assert await found("new") == [fresh]
    assert await found("favorites") == await found("archived") == []
    refused = await asked.ask("GET", "/devices/by-status?status=broken", status=400)
    assert refused == {
        "success": False,
        "error": "status must be one of all, my, online, connected, offline, down, new, favorites, archived",
    }
