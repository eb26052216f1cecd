"""The query API as a server: doors, limits, lost dependencies, readiness, its life as a process."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from producers.kafka.publisher import Publisher
from query_api.auth.principal import ANYBODY
from query_api.keys import GATE
from schemas import topics
from schemas.health import Heartbeat, PartitionHealth
from schemas.settings import Settings
from tests.conformance.broken_line import BrokenLine
from tests.conformance.conftest import Api, Apis, api, apis, store
from tests.conformance.store import Store
from tests.stack import free_port

__all__ = ["api", "apis", "store"]

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("host", ["example.org", "example.org:8080", "127.0.0.1.example.org", "192.0.2.1", "[", "a b"])
async def test_a_foreign_host_header_is_misdirected(api: Api, host: str) -> None:
    assert "Host" in (await api.refused("/events", status=421, headers={"Host": host}))["error"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:8080", "127.5.5.5"])
async def test_names_of_loopback_are_welcome(api: Api, host: str) -> None:
    await api.get("/health/live", headers={"Host": host})


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        ({"Origin": "http://example.org"}, "POST"),
        ({"Origin": "null"}, "DELETE"),
        ({"Origin": "http://example.org", "Upgrade": "websocket", "Connection": "Upgrade"}, "GET"),
    ],
)
async def test_foreign_origins_may_not_write(api: Api, headers: dict[str, str], method: str) -> None:
    async with api.http.request(method, f"{api.base}/events", headers=headers) as answer:
        assert answer.status == 403
        assert "origin" in (await answer.json())["error"]


async def test_there_are_no_cors_headers(api: Api) -> None:
    async with api.http.get(f"{api.base}/health/live", headers={"Origin": "http://example.org"}) as answer:
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/nothing", "/events/", "/sessions/x/y", "/ws/", "/%00", "/..%2f", "/\u2603"])
async def test_an_unknown_path_is_404_in_json(api: Api, path: str) -> None:
    await api.refused(path, status=404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_are_405_in_json_and_say_which_are_allowed(api: Api, method: str) -> None:
    async with api.http.request(method, f"{api.base}/events") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")
        assert method == "HEAD" or "GET" in (await answer.json())["error"]


async def test_a_body_above_the_limit_is_413(api: Api) -> None:
    await api.refused("/events", b" " * (1_048_576 + 1), status=413)
    await api.get("/events?response_per_page=1", b" " * 1_048_576)


async def test_a_compressed_bomb_is_413_too(api: Api) -> None:
    import zlib

    bomb = zlib.compress(b" " * 50_000_000)
    await api.refused("/events", bomb, status=413, headers={"Content-Encoding": "deflate"})


async def test_a_packed_body_is_read_and_one_that_is_cut_short_is_400(api: Api) -> None:
    import gzip

    packed = gzip.compress(b'{"response_per_page": 1}')
    assert (await api.get("/events", packed, headers={"Content-Encoding": "gzip"}))["response_per_page"] == 1
    for left in (packed[:-9], b"", None):
        assert "gzip" in (await api.refused("/events", left, headers={"Content-Encoding": "gzip"}))["error"]
    await api.refused("/events", packed, status=415, headers={"Content-Encoding": "br"})


async def test_a_clickhouse_that_stands_still_is_503_by_a_ping_and_not_by_the_time_limit(
    apis: Apis, settings: Settings
) -> None:
    line = BrokenLine(settings.clickhouse.url)
    clickhouse = msgspec.structs.replace(settings.clickhouse, url=await line.start())
    api = await apis.start(msgspec.structs.replace(settings, clickhouse=clickhouse))
    page = "/sessions?response_per_page=1"
    try:
        await api.get(page)
        line.hold()
        for path, error in ((page, "error"), ("/events", "error"), ("/api/v2/session?limit=1", "message")):
            async with api.http.get(api.base + path) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
                # The words of the ping; the client's own limit, 5 s above the query's, says "cannot be reached".
                assert (await answer.json())[error] == "ClickHouse does not answer"
        assert not (await api.get("/health/ready", status=503))["checks"]["clickhouse"]["ok"]
        line.release()
        await api.get(page)
    finally:
        await line.stop()


async def test_a_url_above_the_limit_is_414(api: Api) -> None:
    await api.refused("/events?sensors=" + "a" * 9000, status=414)
    await api.refused("/events?sensors=" + "a" * 500_000, status=414)


async def test_a_body_that_is_no_json_names_what_is_wrong(api: Api) -> None:
    for body in (b"{", b"\xff", b"[]", b'{"page":NaN}', b'{"page":1,"page":1}', b"[" * 100_000):
        await api.refused("/sessions", body)


async def test_one_answer_too_many_is_503_with_retry_after(apis: Apis, settings: Settings) -> None:
    api = await apis.start(settings, concurrency=1)
    with api.app[GATE].place(ANYBODY):
        async with api.http.get(f"{api.base}/events?response_per_page=1") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    await api.get("/events?response_per_page=1")


async def test_clickhouse_away_is_503_that_names_it(apis: Apis, settings: Settings) -> None:
    away = msgspec.structs.replace(settings.clickhouse, url=f"http://127.0.0.1:{free_port()}")
    api = await apis.start(msgspec.structs.replace(settings, clickhouse=away))
    for path in ("/events", "/sessions?response_per_page=1"):
        async with api.http.get(api.base + path) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert "ClickHouse" in (await answer.json())["error"]


async def test_a_wrong_password_is_503_and_never_shown(apis: Apis, settings: Settings) -> None:
    wrong = msgspec.structs.replace(settings.clickhouse, reader_password="no such secret")
    api = await apis.start(msgspec.structs.replace(settings, clickhouse=wrong))
    error = (await api.refused("/events", status=503))["error"]
    assert "ClickHouse" in error and "secret" not in error


@pytest.mark.parametrize(
    ("limit", "status"),
    [({"query_rows": 100}, 400), ({"query_memory": 1_000_000}, 400), ({"query_seconds": 0.001}, 503)],
)
async def test_a_query_beyond_its_limits_is_told_so(
    apis: Apis, settings: Settings, store: Store, sensor: str, limit: dict[str, Any], status: int
) -> None:
    store.many_events(sensor, 60_000)
    api = await apis.start(settings, **limit)
    error = (await api.refused("/events", {"types": ["c.*d.?$"], "response_per_page": 10_000}, status=status))["error"]
    assert "one query" in error


async def test_any_regexes_are_answered_or_refused_but_never_fail(api: Api) -> None:
    pieces = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "*",
        "+",
        "?",
        "|",
        "\\",
        "^",
        "$",
        ".",
        "a",
        "\\p{",
        "(?i",
        "{1,9999}",
        "\\Q",
        "\0",
    ]
    texts = [a + b + c for n, a in enumerate(pieces) for b in pieces[n % 7 :: 5] for c in pieces[n % 11 :: 11]]
    statuses = set()
    for text in texts:
        body = msgspec.json.encode({"sensors": [text], "response_per_page": 1})
        async with api.http.get(f"{api.base}/events", data=body) as answer:
            await answer.json()
            statuses.add(answer.status)
    assert statuses == {200, 400}


async def test_live_and_version_answer_whatever_is_missing(apis: Apis, settings: Settings) -> None:
    away = msgspec.structs.replace(settings.clickhouse, url=f"http://127.0.0.1:{free_port()}")
    api = await apis.start(msgspec.structs.replace(settings, clickhouse=away))
    assert await api.get("/health/live") == {"status": "live"}
    assert (await api.get("/version"))["name"] == "sojourn"
    ready = await api.get("/health/ready", status=503)
    assert ready["status"] == "starting"
    assert set(ready["checks"]) == {"kafka", "clickhouse", "worker", "sink"}
    assert not ready["checks"]["clickhouse"]["ok"]


async def test_it_is_ready_when_worker_and_sink_speak(apis: Apis, settings: Settings) -> None:
    api = await apis.start(settings, follow_health=True)
    assert not (await api.get("/health/ready", status=503))["checks"]["worker"]["ok"]
    publisher = Publisher(settings.kafka)
    await publisher.start()
    try:
        for _ in range(100):
            for component in ("worker", "sink"):
                beat = Heartbeat(
                    component=component,
                    instance="test",
                    time=time.time_ns() // 1000,
                    generation=1,
                    partitions=[PartitionHealth("connections", 0, 1, 1)],
                )
                key = f"{component}/test".encode()
                await (await publisher.send(topics.HEALTH, key, msgspec.json.encode(beat), partition=0))
            async with api.http.get(f"{api.base}/health/ready") as answer:
                found = await answer.json()
                if answer.status == 200:
                    break
            await asyncio.sleep(0.1)
    finally:
        await publisher.stop()
    assert found["status"] == "ready", found


async def test_the_process_serves_until_sigterm_and_ends_with_0(settings: Settings) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "SOJOURN_HTTP_LISTEN": f"127.0.0.1:{port}",
        "SOJOURN_CLICKHOUSE_URL": settings.clickhouse.url,
        "SOJOURN_CLICKHOUSE_READER_PASSWORD": settings.clickhouse.reader_password,
        "SOJOURN_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
    }
    code = "from schemas.settings import load; from query_api.main import run_server; exit(run_server(load()[0]))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=environment)
    try:
        async with aiohttp.ClientSession() as http:
            for _ in range(200):
                try:
                    async with http.get(f"http://127.0.0.1:{port}/events?response_per_page=1") as answer:
                        assert answer.status == 200
                        break
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.05)
            else:
                pytest.fail("the server does not listen after 10 s")
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 15) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "/events?response_per_page=1": lambda body: body["error"],
    "/openapi.json": lambda body: body["error"],
    "/api/audit/sessions": lambda body: body["error"]["message"],
    "/api/v2/session": lambda body: body["message"],
    "/sessions/list": lambda body: f"{body['error']} {body.get('message', '')}",
}


@pytest.mark.parametrize("path", _WORDS)
async def test_every_limit_is_answered_in_the_form_of_the_path(apis: Apis, settings: Settings, path: str) -> None:
    api = await apis.start(settings, concurrency=1)

    async def refused(status: int, words: str, *, path: str = path, body: bytes | None = None, **headers: str) -> None:
        async with api.http.get(api.base + path, data=body, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (status, "application/json")
            said = _WORDS[path.partition("&long")[0].partition("?long")[0]](await answer.json())
            assert words in said
            assert ("Retry-After" in answer.headers) == (status in (429, 503))

    await refused(413, "1048576 bytes", body=b" " * 1_048_577)
    await refused(400, "gzip", body=b"{}", **{"Content-Encoding": "gzip"})
    await refused(414, "8192 bytes", path=path + ("&" if "?" in path else "?") + "long=" + "a" * 9000)
    await refused(421, "Host", Host="example.org")
    with api.app[GATE].place(ANYBODY):
        await refused(503, "1 requests")


async def said_to(api: Api, sent: bytes) -> bytes:
    """What the server says until it closes the connection."""
    host, port = api.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    found = await reader.read()
    writer.close()
    return found


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01 garbage\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: example.org\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_400_in_json(api: Api, sent: bytes) -> None:
    head, _, body = (await said_to(api, sent)).partition(b"\r\n\r\n")
    assert b" 400 " in head and b"application/json" in head and b"aiohttp" not in head
    assert "no HTTP" in msgspec.json.decode(body)["error"]


_HOST = b"Host: 127.0.0.1\r\nConnection: close\r\n"
#: What aiohttp refuses itself: what stands behind the path, the status, a part of the words.
_REFUSED_EARLY = [
    (b" HTTP/1.1\r\n" + _HOST + b"Expect: nonsense\r\n\r\n", 417, "100-continue"),
    (b" HTTP/1.1\r\n" + _HOST + b"X: " + b"a" * 200_000 + b"\r\n\r\n", 431, "too long"),
    (b" HTTP/1.1\r\n" + _HOST + b"Content-Length: -5\r\n\r\n", 400, "Content-Length"),
    (b" HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n", 400, "chunk"),
    (b"?a=1 HTTP/9.9\r\n" + _HOST + b"\r\n", 400, "no HTTP"),
    (b" HTTP/1.1\r\n" + _HOST + b"X: a\x00b\r\n\r\n", 400, "header"),
]
#: Where each owner's form has the words.
_EARLY_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "/sessions": lambda found: found["error"],
    "/version": lambda found: found["error"],
    "/sessions/list": lambda found: found.get("message", found["error"]),
    "/api/v2/session": lambda found: found["message"],
    "/api/audit/sessions": lambda found: found["error"]["message"],
}


@pytest.mark.parametrize("path", _EARLY_WORDS)
@pytest.mark.parametrize(("rest", "status", "words"), _REFUSED_EARLY)
async def test_what_never_reaches_a_handler_is_refused_in_the_form_of_the_paths_owner(
    api: Api, path: str, rest: bytes, status: int, words: str
) -> None:
    head, _, body = (await said_to(api, b"GET " + path.encode() + rest)).partition(b"\r\n\r\n")
    assert f" {status} ".encode() in head and b"application/json" in head and b"sojourn" in head
    found = msgspec.json.decode(body)
    assert words in _EARLY_WORDS[path](found), found
    if path.startswith("/api/audit"):
        assert found["meta"]["href"] == path


async def test_a_method_that_is_none_is_refused_in_the_form_of_the_paths_owner(api: Api) -> None:
    for method in (b"F@(O", b"FOO"):
        sent = method + b" /api/v2/session HTTP/1.1\r\n" + _HOST + b"\r\n"
        body = (await said_to(api, sent)).partition(b"\r\n\r\n")[2]
        assert msgspec.json.decode(body)["result"] == "failure"


async def test_connections_beyond_the_limit_are_closed_and_the_others_served(apis: Apis, settings: Settings) -> None:
    api = await apis.start(settings, connections=20)
    host, port = api.base.removeprefix("http://").split(":")
    held = [await asyncio.open_connection(host, int(port)) for _ in range(19)]
    try:
        await api.get("/version")
        for _ in range(5):
            reader, writer = await asyncio.open_connection(host, int(port))
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        await api.get("/version")
    finally:
        for _, writer in held:
            writer.close()
