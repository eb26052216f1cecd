"""Asking Fudo's API as its clients do, and sessions to ask for."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from schemas.settings import Settings
from tests.conformance.conftest import Api, Apis
from tests.conformance.store import Store, moment

#: Sessions that were changed long ago expire: this one was changed today, at the example's time of day.
MODIFIED = datetime.now(UTC).replace(hour=6, minute=16, second=2, microsecond=9606)

#: The document's example of one session, as Sojourn stores it.
EXAMPLE_ROW: dict[str, Any] = {
    "session_id": "3927138875067084301",
    "sensor": "3927138875067073099",
    "user_id": "3927138875067072685",
    "server_user": "3927138875067088645",
    "server_name": "3927138875067072586",
    "started_at": moment("2022-04-05T14:06:07.313862"),
    "ended_at": moment("2022-04-05T14:07:58.657010"),
    "last_activity_at": moment("2022-04-05T14:07:07.313862"),
    "state": "closed",
    "end_reason": "disconnect",
    "protocol": "vnc",
    "client_ip": "10.2.0.0",
    "client_port": 65331,
    "server_ip": "10.0.0.1",
    "server_port": 5900,
    "created_at": moment("2022-04-05T14:06:07.316523"),
    "modified_at": MODIFIED.strftime("%Y-%m-%d %H:%M:%S.%f"),
    "attributes": {"fudo.safe_id": "3927138875067072584", "fudo.height": "768", "fudo.width": "1024"},
}


class Fudo:
    """``paths`` are below /api/v2; an answer is checked to be JSON with its result."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200, **options: Any) -> dict[str, Any]:
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        if body is not None:
            options.setdefault("headers", {})
            options["headers"] = {"Content-Type": "Application/JSON", **options["headers"]}
        async with self.api.http.request(method, f"{self.api.base}/api/v2{path}", data=data, **options) as answer:
            text = await answer.read()
            assert answer.status == status, (answer.status, text[:800])
            assert answer.content_type == "application/json"
            found: dict[str, Any] = msgspec.json.decode(text)
            assert found["result"] == ("success" if status < 400 else "failure")
            return found

    async def get(self, path: str, status: int = 200) -> dict[str, Any]:
        return await self.ask("GET", path, status=status)

    async def refused(self, path: str, method: str = "GET", body: Any = None, status: int = 400) -> str:
        """The message of a failure."""
        found = await self.ask(method, path, body, status)
        assert set(found) == {"result", "message"}
        return str(found["message"])

    async def ids(self, sensor: str, filter: str = "", rest: str = "order=id") -> list[str]:
        """The ids of a sensor's sessions that pass."""
        text = f"listener_id.eq({sensor})" + (f",{filter}" if filter else "")
        found = await self.get(f"/session?fields=id&filter={quote(text)}&limit=100&{rest}")
        return [one["id"] for one in found["session"]]


async def started(apis: Apis, settings: Settings, **http: Any) -> Fudo:
    """Over TLS: clients of Fudo speak nothing else."""
    return Fudo(await apis.start(settings, tls_self_signed=True, **http))


def numbered(store: Store, sensor: str, rows: dict[str, dict[str, Any]]) -> None:
    """Sessions of one sensor by id, each a minute after the one before."""
    base = {"sensor": sensor, "state": "open"}
    placed = []
    for minute, (name, row) in enumerate(rows.items()):
        start = moment(f"2026-03-01T10:{minute:02d}:00")
        placed.append({**base, "started_at": start, "last_activity_at": start, "session_id": name, **row})
    store.sessions(placed)
