"""Logging in to SPS, what it says of itself, and that its links lead everywhere (sps-facts 1.1, 1.2, 1.3)."""

import re
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy import auth
from schemas.scopes import Scope
from schemas.settings import Settings
from tests.conformance.conftest import Api, Apis
from tests.conformance.sps import SESSIONS, api, commands, path, session
from tests.conformance.store import Store

__all__ = ["api"]

pytestmark = pytest.mark.integration

LOGIN = "/api/authentication"
PASSWORD = "pässword: with,; all=signs"


@pytest.fixture
async def closed(apis: Apis, settings: Settings, tmp_path: Path, sensor: str) -> Api:
    """A server with credentials: a user for everything, and one for the sensors of this test."""
    file = tmp_path / "credentials.json"
    auth.add_user(file, "admin", PASSWORD, [Scope.READ], None)
    auth.add_user(file, "few", PASSWORD, [Scope.READ], f"{re.escape(sensor)}-few")
    return await apis.start(settings, tls_self_signed=True, auth_file=str(file))


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(name, password, encoding="utf-8")}


async def cookie_of(api: Api, name: str) -> dict[str, str]:
    async with api.http.get(api.base + LOGIN, headers=basic(name)) as answer:
        assert answer.status == 200
        return {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}


async def test_basic_gives_a_cookie_that_opens_everything_until_it_is_deleted(closed: Api) -> None:
    asked = f"{LOGIN}?return=/api/authentication&login_method=local"
    async with closed.http.get(closed.base + asked, headers=basic("admin")) as answer:
        body = await answer.json()
        assert answer.headers.getall("Set-Cookie") == [answer.headers["Set-Cookie"]]
        cookie = answer.headers["Set-Cookie"]
    assert body["meta"]["href"] == LOGIN and 0 < body["meta"]["remaining_seconds"] <= 1200
    # 40 hex digits, first in the header, expires in lower case with a time of RFC 1123, Secure over TLS.
    found = re.fullmatch(
        r"session_id=([0-9a-f]{40}); expires=([^;]+ GMT); HttpOnly; Max-Age=43200; Path=/; .*Secure", cookie
    )
    assert found is not None, cookie
    assert parsedate_to_datetime(found[2]).tzinfo is not None
    mine = {"Cookie": f"ticket=x; session_id={found[1]}"}
    answer = await closed.get(SESSIONS + "?limit=1", headers=mine)
    assert answer["meta"]["limit"] == 1
    async with closed.http.delete(closed.base + LOGIN, headers=mine) as ended:
        assert (ended.status, (await ended.json())["meta"]["remaining_seconds"]) == (200, 0)
        assert ended.headers["Set-Cookie"].startswith("session_id=;")
    await closed.get(SESSIONS, headers=mine, status=401)


async def test_without_a_cookie_that_counts_it_is_401_in_the_products_form(closed: Api) -> None:
    for path_, headers in (
        (SESSIONS, {}),
        (SESSIONS, {"Cookie": "session_id=" + "0" * 40}),
        # A session id is no header, whatever an old text says, and a password is for logging in alone.
        (SESSIONS, {"session_id": "0" * 40}),
        (SESSIONS, basic("admin")),
        ("/api/nosuch", {}),
        (LOGIN, {}),
        (LOGIN, basic("admin", "wrong")),
        (LOGIN, basic("nobody")),
    ):
        answer = await closed.get(path_, headers=headers, status=401)
        assert answer["error"]["type"] == "Unauthenticated", path_
        assert answer["error"].keys() == {"type", "message", "details"}


async def test_without_the_right_to_search_it_is_403(apis: Apis, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    auth.add_user(file, "sensor", PASSWORD, [Scope.INGEST], None)
    api = await apis.start(settings, tls_self_signed=True, auth_file=str(file))
    cookie = await cookie_of(api, "sensor")
    for asked in (SESSIONS, f"{SESSIONS}/_snapshot", f"{SESSIONS}/x/events"):
        answer = await api.get(asked, headers=cookie, status=403)
        assert answer["error"]["type"] == "Unauthorized" and "read" in answer["error"]["message"]


async def test_what_everybody_may_ask(closed: Api) -> None:
    assert (await closed.get(f"{LOGIN}/login_methods"))["login_methods"] == [{"name": "local", "type": "basic"}]
    assert (await closed.get(f"{LOGIN}/types"))["types"] == ["basic"]
    anonymous = await closed.get("/api/info")
    assert anonymous["key"] == "about_info"
    assert anonymous["meta"] == {"href": "/api/info", "parent": "/api"}
    assert anonymous["body"].keys() == {"domainname", "hostname", "nickname", "plugin_sdk_version", "support_link"}
    known = await closed.get("/api/info", headers=await cookie_of(closed, "admin"))
    assert known["body"]["firmware_version"] == "8.0.0"
    assert known["body"]["roles"] == ["read"] and known["body"]["analytics_enabled"] is False
    assert known["meta"].keys() == {"href", "parent", "remaining_seconds"}


async def test_other_ways_to_log_in_are_refused(closed: Api) -> None:
    for asked, field in (("?type=x509&login_method=local", "type"), ("?login_method=radius", "login_method")):
        answer = await closed.get(LOGIN + asked, headers=basic("admin"), status=400)
        assert answer["error"]["details"] == {"field": field}


async def test_a_user_for_some_sensors_sees_no_others_anywhere(closed: Api, store: Store, sensor: str) -> None:
    mine, other = f"{sensor}-few", f"{sensor}-other"
    for name in (mine, other):
        store.sessions([session(name, name, protocol="ssh", event_count=1)])
        commands(store, name, name, ["$ secret"])
    few = await cookie_of(closed, "few")

    async def ask(path_: str, status: int = 200) -> dict[str, Any]:
        return await closed.get(path_, headers=few, status=status)

    assert [item["key"] for item in (await ask(SESSIONS))["items"]] == [mine]
    assert await ask(f"{SESSIONS}/_count") == {"count": 1}
    assert [item["key"] for item in (await ask(f"{SESSIONS}?content=secret"))["items"]] == [mine]
    buckets = (await ask(f"{SESSIONS}/stats?field=recording.connection_policy"))["body"]["buckets"]
    assert buckets == [{"value": mine, "count": 1}]
    snapshot = (await ask(f"{SESSIONS}/_snapshot"))["body"]["snapshot"]
    assert [item["key"] for item in (await ask(f"{SESSIONS}?snapshot={snapshot}"))["items"]] == [mine]
    # Another user cannot use it.
    await closed.get(f"{SESSIONS}?snapshot={snapshot}", headers=await cookie_of(closed, "admin"), status=404)
    for part in ("", "/events", "/alerts", "/channels", "/indexing", "/content?q=secret", "/trail_downloads"):
        await ask(path(mine) + part)
        await ask(path(other) + part, status=404)
    await ask(f"{path(other)}/audit_trail", status=404)


def links_of(value: Any) -> set[str]:
    """Every href of an answer, and the pages of a list."""
    if isinstance(value, dict):
        own = {link for name, link in value.items() if name in ("href", "first", "last", "next", "previous", "parent")}
        return {link for link in own if isinstance(link, str)}.union(*map(links_of, value.values()))
    if isinstance(value, list):
        return set().union(*map(links_of, value))
    return set()


async def test_links_lead_everywhere(api: Api, store: Store, sensor: str) -> None:
    """From /api alone every door is found, but those of one session's audit trail, which would be a record."""
    store.sessions([session(sensor, sensor, event_count=1, client_ip="192.0.2.77")])
    commands(store, sensor, sensor, ["$ ls"])
    seen: set[str] = set()
    waiting = {"/api", f"{SESSIONS}?q=recording.connection_policy:{sensor}&fields=*"}
    while waiting:
        here = waiting.pop()
        seen.add(here)
        if here.endswith("/audit_trail"):
            continue
        # Those two must be told a property.
        missing = here.endswith(("/stats", "/histogram"))
        answer = await api.get(here, status=400 if missing else 200)
        # Of all sessions, this test's: others are other tests'.
        found = {link for link in links_of(answer) if sensor in link or f"{SESSIONS}/" not in link or "/_" in link}
        waiting |= {link for link in found if "?" not in link or sensor in link} - seen
        if missing:
            assert answer["error"]["details"] == {"field": "field"}
        elif here == "/api/audit":
            waiting |= links_of(answer) - seen
    one = path(sensor)
    parts = ("alerts", "audit_trail", "channels", "channels/0", "content", "events", "indexing", "trail_downloads")
    wanted = {f"{one}/{part}" for part in parts} | {f"{SESSIONS}/{name}" for name in ("_count", "_snapshot")}
    wanted |= {f"{SESSIONS}/stats", f"{SESSIONS}/histogram", SESSIONS, one}
    assert wanted | {"/api", "/api/info", "/api/authentication", "/api/audit"} <= seen


async def test_every_method_but_get_is_405_and_says_which_are_not(api: Api) -> None:
    for path_ in ("/api", SESSIONS, f"{SESSIONS}/x", f"{SESSIONS}/x/events"):
        for method in ("POST", "PUT", "DELETE", "PATCH", "HEAD"):
            async with api.http.request(method, api.base + path_) as answer:
                assert answer.status == 405
                assert answer.headers["Allow"] == "GET"
                if method != "HEAD":
                    assert (await answer.json())["error"]["type"] == "MethodNotAllowed"
