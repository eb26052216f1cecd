"""GET /devices/by-status, which the product's calendar of all devices takes its lines from."""

from pathlib import Path
from typing import Any

import pytest

from schemas.settings import Settings
from tests.conformance.conftest import Apis
from tests.conformance.netalertx import NetAlertX, a_mac, said, started, stored
from tests.conformance.store import Store, moment

pytestmark = pytest.mark.integration


@pytest.fixture
async def asked(apis: Apis, settings: Settings, tmp_path: Path, sensor: str) -> NetAlertX:
    return await started(apis, settings, tmp_path / "credentials.json", sensor, timezone="Europe/Berlin")


async def test_devices_are_known_by_their_sessions(asked: NetAlertX, store: Store, sensor: str) -> None:
    here, lost, fresh = a_mac(), a_mac(), a_mac()
    closed = ("2025-08-01T10:00:00", "2025-08-01T12:00:00")
    stored(store, sensor, here, closed)
    said(store, sensor, here, "2025-08-02T10:00:00", name="b the name now", owner="Ada")
    said(store, sensor, here.replace(":", "-"), "2025-08-01T10:00:00", name="an old name", owner="Bob")
    said(store, sensor, here, "2025-08-03T10:00:00", vendor="ACME")
    said(store, sensor, lost, "2025-08-01T10:00:00", name="a printer")
    said(store, sensor, a_mac(), "2025-08-01T10:00:00", name="of no session")
    stored(store, sensor, here.lower(), ("2025-08-02T10:00:00", None), client_ip="10.0.0.9")
    stored(store, sensor, lost, closed, disconnect_kind="Device Down")
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
            "title": "b the name now",
            "favorite": 0,
            "devMac": here.lower(),
            "devName": "b the name now",
            "devOwner": "Ada",
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


async def test_the_last_word_on_a_name_counts_whatever_comes_again_or_late(
    asked: NetAlertX, store: Store, sensor: str
) -> None:
    mac = a_mac()
    stored(store, sensor, mac, ("2025-08-01T10:00:00", None))

    async def name() -> Any:
        (device,) = await asked.get("/devices/by-status")
        return device["devName"], device["devOwner"]

    assert await name() == (mac, "")
    said(store, sensor, mac, "2025-08-01T10:00:00", name="first", owner="Ada")
    said(store, sensor, mac.lower(), "2025-08-02T10:00:00", name="second")
    said(store, sensor, mac, "2025-08-01T10:00:00", name="first", owner="Ada")
    assert await name() == ("second", "Ada")
    # A clock of another century has no last word: it counts as the moment of storing, which is 2026 here.
    said(store, sensor, mac, "2150-01-01T00:00:00", name="of the future")
    said(store, sensor, mac, "2026-01-02T00:00:00", name="third")
    assert await name() == ("third", "Ada")
    # The record of a connection says it, too; what others' sensors say is not this reader's.
    client = {"sensor": sensor, "mac": mac, "time": moment("2026-01-03T00:00:00"), "kind": "connect"}
    store.events([{**client, "details": '{"client_name":"fourth","name":"of something else","owner":5}'}])
    said(store, f"not-{sensor}", mac, "2026-01-04T00:00:00", name="a secret", owner="Eve")
    assert await name() == ("fourth", "Ada")
    for type_ in ("sessions", "all"):
        for row in (await asked.get("/sessions/session-events", type=type_, period="100 years"))["data"]:
            assert row[1:3] == ["fourth", "Ada"]
