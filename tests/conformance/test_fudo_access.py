"""Fudo's API v2, who may ask: the key stands in Authorization as it is, without a scheme (fudo-facts 2.1)."""

from pathlib import Path

import pytest

from deploy import auth
from schemas.scopes import Scope
from schemas.settings import Settings
from tests.conformance.conftest import Apis
from tests.conformance.fudo import Fudo, numbered, started
from tests.conformance.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "credentials.json"


@pytest.fixture
async def fudo(apis: Apis, settings: Settings, file: Path) -> Fudo:
    auth.add_token(file, "first", [Scope.READ], None)
    return await started(apis, settings, auth_file=str(file), write_seconds=0.5)


async def status(fudo: Fudo, method: str, path: str, key: str | None, body: object = None) -> int:
    headers = {} if key is None else {"Authorization": key}
    async with fudo.api.http.request(method, f"{fudo.api.base}/api/v2{path}", json=body, headers=headers) as answer:
        found = await answer.json()
        assert found["result"] == ("success" if answer.status < 400 else "failure")
        assert answer.status < 400 or found["message"]
        return answer.status


async def test_the_key_comes_raw_and_counts_for_every_path(fudo: Fudo, file: Path) -> None:
    key = auth.add_token(file, "reader", [Scope.READ], None)
    for path in ("/session?limit=1", "/objspec/session", "/objspec/session_backup"):
        assert await status(fudo, "GET", path, key) == 200
        for wrong in (None, "", f"{key}x", f"Bearer {key}", f"Basic {key}", key.upper()):
            assert await status(fudo, "GET", path, wrong) == 401
    assert await status(fudo, "GET", "/session/nobody", None) == 401
    assert await status(fudo, "POST", "/batch", None, {"requests": []}) == 401
    assert await status(fudo, "GET", "/elsewhere", None) == 401


async def test_writing_needs_the_scope_write(fudo: Fudo, file: Path, store: Store, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-1": {}})
    reader = auth.add_token(file, "reader", [Scope.READ], None)
    writer = auth.add_token(file, "writer", [Scope.WRITE], None)
    for method, path in (("PATCH", f"/session/{sensor}-1"), ("POST", "/session_backup"), ("POST", "/batch")):
        assert await status(fudo, method, path, reader, {}) == 403
        assert await status(fudo, method, path, writer, {}) == 400
    assert await status(fudo, "PATCH", f"/session/{sensor}-1", writer, {"paused": True}) in (202, 503)


async def test_a_key_for_some_sensors_neither_reads_nor_writes_sessions_of_others(
    fudo: Fudo, file: Path, store: Store, sensor: str
) -> None:
    numbered(store, f"{sensor}-mine", {f"{sensor}-a": {}})
    numbered(store, f"{sensor}-other", {f"{sensor}-b": {}})
    key = auth.add_token(file, "some", [Scope.READ, Scope.WRITE], f"{sensor}-mine")
    assert await status(fudo, "GET", f"/session/{sensor}-a?fields=id,size", key) == 200
    assert await status(fudo, "GET", f"/session/{sensor}-b", key) == 404
    assert await status(fudo, "PATCH", f"/session/{sensor}-b", key, {"paused": True}) == 404
    headers = {"Authorization": key}
    for query in ("", "?limit=10&total_count", "?order=id"):
        async with fudo.api.http.get(f"{fudo.api.base}/api/v2/session{query}", headers=headers) as answer:
            found = await answer.json()
            assert [one["id"] for one in found["session"]] == [f"{sensor}-a"]
            assert found.get("total_count", 1) == 1
    requests = [{"endpoint": f"/session/{sensor}-a"}, {"endpoint": f"/session/{sensor}-b"}]
    url = f"{fudo.api.base}/api/v2/batch"
    async with fudo.api.http.post(url, json={"requests": requests}, headers=headers) as answer:
        assert [one["status"] for one in (await answer.json())["responses"]] == [200, 404]
