"""Who may come in, and what he sees: over HTTP, with the real file and the real ClickHouse."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from deploy import auth
from query_api.auth.sensors import TABLES
from schemas.scopes import Scope
from schemas.settings import Settings
from tests.conformance.conftest import Api, Apis, apis, store
from tests.conformance.store import Store
from tests.stack import Stack

__all__ = ["apis", "store"]

pytestmark = pytest.mark.integration


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "credentials.json"


@pytest.fixture
def token(file: Path) -> str:
    return auth.add_token(file, "reader", [Scope.READ], None)


async def guarded(apis: Apis, settings: Settings, file: Path, **http: Any) -> Api:
    return await apis.start(settings, auth_file=str(file), **http)


async def status(api: Api, path: str, method: str = "GET", **headers: str) -> int:
    async with api.http.request(method, api.base + path, headers=headers) as answer:
        await answer.read()
        return answer.status


#: netalertx-facts 1.0, as the newer version words it.
_NOT_AUTHORIZED = {"success": False, "error": "Forbidden", "message": "ERROR: Not authorized"}
_FORMS: list[tuple[str, int, Callable[[dict[str, Any]], object]]] = [
    ("/events?response_per_page=1", 401, lambda body: body["error"]),
    ("/openapi.json", 401, lambda body: body["error"]),
    ("/api/audit/sessions", 401, lambda body: body["error"]["type"] == "Unauthenticated" and body["error"]["message"]),
    ("/api/v2/session", 401, lambda body: body["result"] == "failure" and body["message"]),
    ("/sessions/list", 403, lambda body: body == _NOT_AUTHORIZED),
]


@pytest.mark.parametrize(("path", "refused", "well_formed"), _FORMS)
async def test_with_the_first_credential_every_path_asks_for_one_in_its_own_form(
    apis: Apis, settings: Settings, file: Path, path: str, refused: int, well_formed: Callable[[Any], object]
) -> None:
    api = await guarded(apis, settings, file)
    assert await status(api, path, Authorization="Bearer nonsense") not in (401, 403)
    auth.add_token(file, "somebody", [], None)
    for credential in (None, "Bearer nonsense", "Basic YTpi", "nonsense", ""):
        headers = {} if credential is None else {"Authorization": credential}
        async with api.http.get(api.base + path, headers=headers) as answer:
            assert answer.status == refused
            assert answer.content_type == "application/json"
            assert well_formed(await answer.json())
            assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize("path", ["/health/live", "/version", "/api/info", "/api/authentication"])
async def test_some_doors_stay_open(apis: Apis, settings: Settings, file: Path, token: str, path: str) -> None:
    api = await guarded(apis, settings, file)
    assert await status(api, path, Authorization="Bearer nonsense") in (200, 404, 401)
    if path in ("/health/live", "/version"):
        assert await status(api, path) == 200


async def test_a_token_opens_what_its_scopes_say(apis: Apis, settings: Settings, file: Path, token: str) -> None:
    writer = auth.add_token(file, "writer", [Scope.WRITE], None)
    shipper = auth.add_token(file, "shipper", [Scope.INGEST], None)
    admin = auth.add_token(file, "admin", [Scope.ADMIN], None)
    api = await guarded(apis, settings, file)
    path = "/events?response_per_page=1"
    assert await status(api, path, **bearer(token)) == 200
    assert await status(api, path, Authorization=f"bearer {token}") == 200
    assert await status(api, path, **bearer(writer)) == 200
    assert await status(api, path, **bearer(shipper)) == 403
    assert await status(api, "/events", "POST", **bearer(shipper)) == 403
    assert await status(api, "/ingest/nothing", "POST", **bearer(writer)) == 403
    assert await status(api, "/ingest/nothing", "POST", **bearer(shipper)) == 404
    assert await status(api, path, **bearer(admin)) == 200
    assert await status(api, "/events", "POST", **bearer(token)) == 403
    assert await status(api, "/events", "POST", **bearer(writer)) == 405


async def test_each_dialect_takes_a_token_in_its_own_form_only(
    apis: Apis, settings: Settings, file: Path, token: str
) -> None:
    api = await guarded(apis, settings, file)
    assert await status(api, "/api/v2/nothing", Authorization=token) in (400, 404)
    assert await status(api, "/api/v2/nothing", **bearer(token)) == 401
    assert await status(api, "/sessions/x/y", **bearer(token)) == 404
    assert await status(api, "/sessions/x/y", Authorization=f"bearer {token}") == 403
    assert await status(api, f"/sessions/x/y?token={token}") == 404
    assert await status(api, f"/events?response_per_page=1&token={token}") == 401
    assert await status(api, "/api/audit/nothing", **bearer(token)) == 401


async def test_a_revoked_token_is_refused_from_the_next_request_on(
    apis: Apis, settings: Settings, file: Path, token: str
) -> None:
    auth.add_token(file, "another", [], None)
    api = await guarded(apis, settings, file)
    assert await status(api, "/events?response_per_page=1", **bearer(token)) == 200
    auth.revoke(file, "reader")
    assert await status(api, "/events?response_per_page=1", **bearer(token)) == 401


async def test_elsewhere_than_on_loopback_nothing_is_open_even_when_the_last_credential_goes(
    apis: Apis, settings: Settings, file: Path, token: str
) -> None:
    api = await guarded(apis, settings, file, listen="0.0.0.0:8080")
    assert await status(api, "/version") == 200
    auth.revoke(file, "reader")
    assert await status(api, "/events?response_per_page=1") == 401


async def test_a_restricted_token_sees_its_sensors_and_nothing_of_the_others(
    apis: Apis, settings: Settings, file: Path, store: Store, sensor: str
) -> None:
    mine, other = f"{sensor}-mine", f"{sensor}-other"
    for name, count in ((mine, 30), (other, 50)):
        store.many_events(name, count)
        store.sessions([{"sensor": name, "session_id": f"{name}-{n}"} for n in range(count // 10)])
    restricted = auth.add_token(file, "restricted", [], mine)
    api = await guarded(apis, settings, file)
    for body in ({}, {"response_per_page": 100}, {"response_per_page": 100, "sensors": [sensor]}):
        events = await api.get("/events", body, headers=bearer(restricted))
        assert {event["sensor"] for event in events["events"]} == {mine}
        assert (events["total"], events["matched"], len(events["events"])) == (30, 30, 30)
        sessions = await api.get("/sessions", body, headers=bearer(restricted))
        assert {session["sensor"] for session in sessions["events"]} == {mine}
        assert (sessions["total"], sessions["matched"], len(sessions["events"])) == (3, 3, 3)
    nothing = await api.get("/events", {"response_per_page": 1, "sensors": [other]}, headers=bearer(restricted))
    assert (nothing["total"], nothing["matched"], nothing["events"]) == (30, 0, [])


async def test_other_sensors_do_not_exist_in_any_dialect(
    apis: Apis, settings: Settings, file: Path, store: Store, sensor: str
) -> None:
    mine, other = f"{sensor}-mine", f"{sensor}-other"
    for name in (mine, other):
        store.many_events(name, 10)
        store.sessions([{"sensor": name, "session_id": f"{name}-{n}", "protocol": "ssh"} for n in range(3)])
    token = auth.add_token(file, "restricted", [Scope.WRITE], mine)
    auth.add_user(file, "ann", "a long password", [Scope.READ], mine)
    api = await guarded(apis, settings, file)
    basic = base64.b64encode(b"ann:a long password").decode()
    async with api.http.get(f"{api.base}/api/authentication", headers={"Authorization": f"Basic {basic}"}) as answer:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]

    sps, fudo = {"Cookie": cookie}, {"Authorization": token}
    listed = await api.get("/api/audit/sessions?limit=500", headers=sps)
    assert listed["meta"]["match_count"] == 3
    assert {item["key"] for item in listed["items"]} == {f"{mine}-{n}" for n in range(3)}
    assert (await api.get("/api/audit/sessions/_count", headers=sps))["count"] == 3
    snapshot = (await api.get("/api/audit/sessions/_snapshot", headers=sps))["body"]["snapshot"]
    paged = await api.get(f"/api/audit/sessions?snapshot={snapshot}", headers=sps)
    assert {item["key"] for item in paged["items"]} == {f"{mine}-{n}" for n in range(3)}
    for part in ("", "/events", "/channels", "/audit_trail", "/trail_downloads"):
        await api.get(f"/api/audit/sessions/{other}-0{part}", status=404, headers=sps)

    found = await api.get("/api/v2/session?limit=100&total_count", headers=fudo)
    assert {session["id"] for session in found["session"]} == {f"{mine}-{n}" for n in range(3)}
    assert found["total_count"] == 3
    await api.get(f"/api/v2/session/{mine}-0", headers=fudo)
    await api.get(f"/api/v2/session/{other}-0", status=404, headers=fudo)
    async with api.http.patch(f"{api.base}/api/v2/session/{other}-0", json={"reason": "x"}, headers=fudo) as answer:
        assert answer.status == 404


def test_every_table_with_sensors_is_restricted(stack: Stack) -> None:
    database = stack.settings.clickhouse.database
    store = stack.settings.clickhouse
    with clickhouse_connect.get_client(
        dsn=store.url, username=store.reader, password=store.reader_password, database=database
    ) as client:
        found = client.query(
            "SELECT DISTINCT table FROM system.columns WHERE database = {database:String} AND name = 'sensor'"
            " AND table IN (SELECT name FROM system.tables"
            " WHERE database = {database:String} AND engine LIKE '%MergeTree')",
            parameters={"database": database},
        )
    assert {row[0] for row in found.result_rows} == set(TABLES)


async def test_one_credential_cannot_take_all_places(apis: Apis, settings: Settings, file: Path, token: str) -> None:
    from query_api.auth.principal import Principal
    from query_api.keys import GATE

    api = await guarded(apis, settings, file, concurrency=4, concurrency_of_one=1)
    with api.app[GATE].place(Principal("reader", frozenset(), origin="token")):
        async with api.http.get(f"{api.base}/events?response_per_page=1", headers=bearer(token)) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert "reader" in (await answer.json())["error"]
    assert await status(api, "/events?response_per_page=1", **bearer(token)) == 200


async def test_configured_names_and_origins_are_welcome_and_no_others(apis: Apis, settings: Settings) -> None:
    api = await apis.start(settings, names="sojourn.example, other.example", origins="https://console.example")
    for name, expected in (("sojourn.example", 200), ("OTHER.example:8080", 200), ("evil.example", 421)):
        assert await status(api, "/version", Host=name) == expected
    mine, foreign = {"Origin": "https://console.example"}, {"Origin": "https://evil.example"}
    async with api.http.get(f"{api.base}/version", headers=mine) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://console.example"
        assert answer.headers["Vary"] == "Origin"
    async with api.http.get(f"{api.base}/nothing", headers=mine) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (404, "https://console.example")
    preflight = {"Access-Control-Request-Method": "PATCH"}
    async with api.http.options(f"{api.base}/api/v2/session/1", headers={**mine, **preflight}) as answer:
        assert answer.status == 204
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    async with api.http.options(f"{api.base}/api/v2/session/1", headers={**foreign, **preflight}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert await status(api, "/events", "POST", **foreign) == 403
    assert await status(api, "/events", "POST", **mine) == 405


async def test_a_write_with_a_body_says_that_it_is_json(apis: Apis, settings: Settings) -> None:
    api = await apis.start(settings)
    for kind, expected in (("text/plain", 415), ("Application/JSON", 405), ("application/json; charset=utf-8", 405)):
        async with api.http.post(f"{api.base}/events", data=b"{}", headers={"Content-Type": kind}) as answer:
            assert answer.status == expected
    async with api.http.post(f"{api.base}/events") as answer:
        assert answer.status == 405
