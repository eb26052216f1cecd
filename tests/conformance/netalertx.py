"""Asking NetAlertX's API as its pages do, and devices to ask for."""

import uuid
from pathlib import Path
from typing import Any

import msgspec

from deploy import auth
from schemas.scopes import Scope
from schemas.settings import NetAlertX as NetAlertXSettings
from schemas.settings import Settings
from tests.conformance.conftest import Api, Apis
from tests.conformance.store import Store, moment


class NetAlertX:
    """Asks with the token of one sensor: what it sees is what the test has stored."""

    def __init__(self, api: Api, token: str) -> None:
        self.api, self.token = api, token

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200, **options: Any) -> Any:
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {
            "Authorization": f"Bearer {self.token}",
            **({} if body is None else {"Content-Type": "application/json"}),
        }
        headers |= options.pop("headers", {})
        async with self.api.http.request(method, self.api.base + path, data=data, headers=headers, **options) as answer:
            text = await answer.read()
            assert answer.status == status, (answer.status, text[:800])
            assert answer.content_type == "application/json"
            return msgspec.json.decode(text)

    async def get(self, path: str, status: int = 200, **params: str) -> Any:
        return await self.ask("GET", path, status=status, params=params)

    async def sessions(self, path: str, **params: str) -> list[dict[str, Any]]:
        found = await self.ask("GET", path, params=params)
        assert set(found) == {"success", "sessions"}
        assert found["success"] is True
        return list(found["sessions"])


async def started(apis: Apis, settings: Settings, file: Path, sensor: str, **form: Any) -> NetAlertX:
    settings = msgspec.structs.replace(settings, netalertx=NetAlertXSettings(**form))
    token = auth.add_token(file, "page", [Scope.WRITE], sensor)
    return NetAlertX(await apis.start(settings, auth_file=str(file)), token)


def a_mac() -> str:
    """An address that nobody else has, as the document writes it."""
    text = uuid.uuid4().hex[:12].upper()
    return ":".join(text[n : n + 2] for n in range(0, 12, 2))


def stored(store: Store, sensor: str, mac: str, *spans: tuple[str | None, str | None], **fields: Any) -> None:
    """Sessions of a device: from, to; no start is an orphan, no end is open, ``?`` is an end nobody saw."""
    rows = []
    for start, end in spans:
        seen = end if end not in (None, "?") else start
        assert seen is not None
        row = {
            "sensor": sensor,
            "session_id": uuid.uuid4().hex,
            "mac": mac,
            "client_ip": "192.168.1.10",
            "state": "open" if end is None else "closed",
            "connect_kind": "Connected" if start else "<missing event>",
            "disconnect_kind": {None: "", "?": "<missing event>"}.get(end, "Disconnected"),
            "last_activity_at": moment(seen),
            **fields,
        }
        if start:
            row["started_at"] = moment(start)
        if end is not None:
            row["ended_at"] = moment(seen)
        rows.append(row)
    store.sessions(rows)


def said(store: Store, sensor: str, mac: str, when: str, **facts: str) -> None:
    """A record of a scan, which says what a device is called (``name``) and whose it is (``owner``)."""
    event = {"sensor": sensor, "mac": mac, "time": moment(when), "category": "device", "kind": "other"}
    store.events([{**event, "details": msgspec.json.encode(facts).decode()}])
