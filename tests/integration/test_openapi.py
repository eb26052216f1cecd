"""The document at /openapi.json, held against the running API by schemathesis."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy import auth
from query_api.auth.doors import ACCESS
from query_api.owners import owner_of
from query_api.routes import DOORS
from query_api.views import DOCUMENT
from schemas.scopes import Scope
from schemas.settings import Settings
from tests.conformance.conftest import Api, Apis, api, apis, store
from tests.conformance.store import Store, moment

__all__ = ["api", "apis", "store"]

pytestmark = pytest.mark.integration

#: What a schema cannot say: a regex that is no RE2, fields that only go together, a query text that cannot be read.
_NOT_ASKED = "positive_data_acceptance"
#: Logging out ends the login that all other cases need.
_LOGOUT = "delete_api_authentication"
#: Answers that do not end: tests/conformance/test_honeytrap_live.py reads them.
_ENDLESS = ("get_events_stream", "get_sessions_stream")

#: How each owner's doors are opened.
_KEYS: dict[str, Callable[[str, str], str]] = {
    "honeytrap": lambda token, cookie: f"Authorization: Bearer {token}",
    "netalertx": lambda token, cookie: f"Authorization: Bearer {token}",
    "fudo": lambda token, cookie: f"Authorization: {token}",
    # Its login is in the configuration, as a cookie of each case: a header would be added to cases without one.
    "sps": lambda token, cookie: "X-Nothing: -",
    "sojourn": lambda token, cookie: f"Authorization: Bearer {token}",
}


@pytest.mark.slow
@pytest.mark.parametrize("owner", sorted({owner_of(door.template).name for door in DOORS}))
async def test_whatever_the_document_allows_is_answered_as_it_says(
    apis: Apis, settings: Settings, store: Store, sensor: str, tmp_path: Path, owner: str
) -> None:
    store.many_events(sensor, 200)
    store.sessions(
        [
            {"sensor": sensor, "session_id": f"{sensor}-{n}", "started_at": moment("2026-01-01T10:00:00.5"), **row}
            for n, row in enumerate(({}, {"state": "open"}, {"protocol": "ssh", "user": "root", "client_ip": "::1"}))
        ]
    )
    file = tmp_path / "credentials.json"
    token = auth.add_token(file, "program", [Scope.ADMIN], None)
    auth.add_user(file, "person", "a long password", [Scope.ADMIN], None)
    # Nothing that is written becomes visible: neither worker nor sink runs.
    api = await apis.start(settings, unpaged_rows=1000, write_seconds=0.5, auth_file=str(file))
    person = api.app[ACCESS].credentials.current.user("person")
    assert person is not None
    cookie = api.app[ACCESS].logins.open("person", person.password)
    # 503 with Retry-After is right while something is away: here, worker and sink.
    (tmp_path / "schemathesis.toml").write_text(
        '[checks]\nnot_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503]\n'
        # A refusal may be about the length of the whole, too.
        'negative_data_rejection.expected-statuses = ["4xx"]\n'
        f'[auth.openapi.login]\napi_key = "{cookie}"\n'
    )
    document = tmp_path / "openapi.json"
    document.write_bytes(api.app[DOCUMENT].json)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", api.base),
        *("-H", _KEYS[owner](token, cookie), "--include-tag", owner),
        *("--checks", "all", "--exclude-checks", _NOT_ASKED, "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", "15", "--generation-deterministic", "--no-shrink", "--continue-on-failure"),
        *("--suppress-health-check", "all", "--no-color", "--warnings", "off"),
        *(word for each in (_LOGOUT, *_ENDLESS) for word in ("--exclude-operation-id", each)),
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    said = "\n".join(line[:300] for line in output.splitlines())
    assert process.returncode == 0, said[-20_000:]
    doors = [door for door in DOORS if owner_of(door.template).name == owner]
    left_out = {"sps": 1, "honeytrap": len(_ENDLESS)}
    tested = len(doors) - left_out.get(owner, 0)
    assert f"Tested: {tested}" in output, said[-20_000:]


async def test_the_page_for_people_names_every_door_and_loads_nothing(api: Api) -> None:
    async with api.http.get(f"{api.base}/docs") as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in page and "src=" not in page
    for door in DOORS:
        assert door.template in page
    # Where somebody looks first.
    async with api.http.get(f"{api.base}/") as answer:
        assert (answer.status, await answer.text()) == (200, page)


def free_form(schema: Any, place: str) -> Iterator[str]:
    """Where the document has an object of which nothing is said."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and not schema.get("properties") and "additionalProperties" not in schema:
            yield place
        if schema.get("additionalProperties") == {}:
            yield place
        for name, member in schema.items():
            yield from free_form(member, f"{place}/{name}")
    elif isinstance(schema, list):
        for n, member in enumerate(schema):
            yield from free_form(member, f"{place}/{n}")


async def test_every_object_but_details_is_described(api: Api) -> None:
    document = await api.get("/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert [place for place in free_form(document, "") if not place.endswith("/details")] == []


async def test_every_route_is_a_door(api: Api) -> None:
    described = {(door.method, door.template) for door in DOORS}
    served = {
        (route.method, route.resource.canonical)
        for route in api.app.router.routes()
        # OPTIONS says which methods a path has, and belongs to no door of its own.
        if route.resource is not None and route.method not in ("*", "OPTIONS")
    }
    described_owners = {owner_of(template).name for _, template in described}
    assert {(method, path) for method, path in served if owner_of(path).name in described_owners} == described
