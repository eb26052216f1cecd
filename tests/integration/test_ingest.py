"""POST /ingest/<format>: what is acknowledged is on Kafka, what is refused is named, a repeat changes nothing."""

import gzip
import json
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from deploy import auth
from deploy.demo import recording
from producers.kafka.message import Message
from query_api.keys import HEALTH
from schemas import topics
from schemas.health import RECYCLING, Heartbeat
from schemas.scopes import Scope
from schemas.settings import Settings
from tests.conformance.conftest import Api, Apis, api, apis
from tests.stack import run_aside
from tests.up_process import Up
from tests.workers import messages

__all__ = ["api", "apis"]

pytestmark = pytest.mark.integration

LINES = {"Content-Type": "application/x-ndjson"}


async def handed(api: Api, name: str, body: bytes, status: int = 200, **headers: str) -> dict[str, Any]:
    url = f"{api.base}/ingest/{name}"
    async with api.http.post(url, data=body, headers={**LINES, **headers}) as answer:
        text = await answer.read()
        assert answer.status == status, text[:500]
        found: dict[str, Any] = msgspec.json.decode(text)
        return found | ({"retry": answer.headers["Retry-After"]} if status in (429, 503) else {})


async def published(settings: Settings, topic: str, sensor: str) -> list[Message]:
    return [one for one in await messages(settings, topic) if one.value and f'"{sensor}"'.encode() in one.value]


def event(sensor: str, n: int = 1, **more: object) -> bytes:
    return msgspec.json.encode({"sensor": sensor, "time": n, "session_id": "s", **more})


async def test_good_lines_are_on_kafka_when_the_answer_comes_and_bad_ones_are_named(
    api: Api, settings: Settings, sensor: str
) -> None:
    connect = event(sensor, 2, action="connect")
    body = b"\r\n".join([event(sensor), b'{"sensor":"x"}', b"", connect, event(sensor), b"nonsense"])
    answer = await handed(api, "sojourn", gzip.compress(body), **{"Content-Encoding": "gzip"})
    assert (answer["lines"], answer["published"]) == (5, 3)
    assert [(one["line"], one["reason"], one["field"]) for one in answer["refused"]] == [
        (2, "missing_field", "time"),
        (6, "not_json", ""),
    ]
    events = await published(settings, topics.EVENTS, sensor)
    assert [one.value for one in events] == [event(sensor)] * 2
    headers = [dict(one.headers) for one in events]
    assert [one["import"] for one in headers] == [b"1", b"1"]
    assert len({one["record_id"] for one in headers}) == 2
    assert [one.value for one in await published(settings, topics.CONNECTIONS_IN, sensor)] == [connect]


async def test_a_body_of_which_no_line_can_be_published_is_refused_with_all_lines_named(api: Api) -> None:
    answer = await handed(api, "cowrie", b"nonsense\n[]\n", 400)
    assert answer["error"].startswith("no line can be published; line 1 is refused, not_json; expected was")
    assert [one["line"] for one in answer["refused"]] == [1, 2]
    assert (answer["lines"], answer["published"]) == (2, 0)


async def test_a_table_is_read_under_its_header(api: Api, settings: Settings, sensor: str) -> None:
    table = f"eve_MAC,eve_DateTime,eve_EventType,eve_IP\n{sensor},2025-08-01 10:00:00,Connected,192.0.2.1\n"
    refused = await handed(api, "netalertx", b"eve_MAC,eve_IP\n1,2\n", 400)
    assert "there is no column eve_DateTime" in refused["error"]
    answer = await handed(api, "netalertx", table.encode())
    assert (answer["lines"], answer["published"], answer["refused"]) == (1, 1, [])
    [message] = await published(settings, topics.native_topic("netalertx"), sensor)
    assert json.loads(message.value or b"")["eve_DateTime"] == "2025-08-01 10:00:00+00:00"


async def test_what_cannot_be_taken_is_refused_in_a_sentence(apis: Apis, settings: Settings, sensor: str) -> None:
    api = await apis.start(settings, ingest_lines=3, ingest_bytes=4_000, body_bytes=100)
    assert "there are sojourn, sojourn.event" in (await handed(api, "nessus", b"{}", 404))["error"]
    assert (await handed(api, "sojourn?sensor=a", event(sensor), 400))["field"] == "sensor"
    assert (await handed(api, "cowrie", b"\n \n", 400))["error"] == "the body has no line"
    for body in (b"{}\n" * 4, b"{}\n" * 3 + b"{}"):
        assert (await handed(api, "cowrie", body, 413))["error"] == "the body has more than 3 lines"
    for body, coding in ((b" " * 4_001, "identity"), (gzip.compress(b" " * 4_001), "gzip")):
        answer = await handed(api, "cowrie", body, 413, **{"Content-Encoding": coding})
        assert answer["error"] == "the body has more than 4000 bytes"
    assert "gzip" in (await handed(api, "cowrie", b"{}", 400, **{"Content-Encoding": "gzip"}))["error"]
    assert (
        "application/x-ndjson" in (await handed(api, "cowrie", b"{}", 415, **{"Content-Type": "text/plain"}))["error"]
    )
    key = {"Idempotency-Key": "x" * 256}
    assert (await handed(api, "sojourn", event(sensor), 400, **key))["field"] == "Idempotency-Key"
    async with api.http.get(f"{api.base}/ingest/cowrie") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    answer = await handed(api, "sojourn", b"\n".join([event(sensor, n, data="x" * 900) for n in range(3)]))
    assert answer["published"] == 3, "more bytes than another body may have"


async def test_the_scope_ingest_hands_in_and_reads_nothing(
    apis: Apis, settings: Settings, sensor: str, tmp_path: Path
) -> None:
    file = tmp_path / "credentials.json"
    token = auth.add_token(file, "box", [Scope.INGEST], sensor)
    reader = auth.add_token(file, "reader", [Scope.READ, Scope.WRITE], None)
    api = await apis.start(settings, auth_file=str(file))
    await handed(api, "sojourn", event(sensor), 401)
    await handed(api, "sojourn", event(sensor), 403, Authorization=f"Bearer {reader}")
    body = event(sensor) + b"\n" + event("another")
    answer = await handed(api, "sojourn", body, Authorization=f"Bearer {token}")
    assert answer["published"] == 1
    assert [(one["line"], one["reason"]) for one in answer["refused"]] == [(2, "forbidden")]
    assert await published(settings, topics.EVENTS, "another") == []
    async with api.http.get(f"{api.base}/events", headers={"Authorization": f"Bearer {token}"}) as refused:
        assert refused.status == 403


async def test_without_an_acknowledgement_it_says_when_to_come_again(
    apis: Apis, settings: Settings, sensor: str
) -> None:
    api = await apis.start(settings)
    word = Heartbeat(component="broker", instance="b", time=time.time_ns() // 1000, generation=0, message=RECYCLING)
    api.app[HEALTH].take(word)
    answer = await handed(api, "sojourn", event(sensor), 503)
    assert (answer["error"], answer["retry"]) == (RECYCLING, "10")
    assert await published(settings, topics.EVENTS, sensor) == []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # A broker that takes connections and says nothing.
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        kafka = msgspec.structs.replace(settings.kafka, bootstrap=place)
        api = await apis.start(msgspec.structs.replace(settings, kafka=kafka), write_seconds=0.5)
        answer = await handed(api, "sojourn", event(sensor), 503)
    assert (answer["error"].startswith("Kafka did not acknowledge"), answer["retry"]) == (True, "2")


def test_a_body_that_is_sent_again_changes_nothing_and_a_name_makes_it_new(demo: Up, sensor: str) -> None:
    lines = [json.dumps(json.loads(line) | {"sensor": sensor}).encode() for line in recording()]
    counts = (
        "SELECT groupArray(event_count) FROM (SELECT event_count FROM sessions_current"
        " WHERE sensor = {sensor:String} ORDER BY started_at)"
    )
    stored = "SELECT count(), uniqExact(record_id) FROM events WHERE sensor = {sensor:String}"

    def hand_in(body: list[bytes], **headers: str) -> int:
        async def post() -> int:
            async with aiohttp.ClientSession() as http:
                api = Api(web.Application(), f"http://127.0.0.1:{demo.ports.http}", http)
                answer = await handed(api, "cowrie", b"\n".join(body), **headers)
                assert answer["refused"] == []
                return int(answer["published"])

        return run_aside(post())

    assert hand_in(lines) == 67
    assert hand_in(lines) == 67
    demo.wait_rows([(67, 67)], stored, sensor=sensor)
    demo.wait_rows([([5, 16, 9, 6, 3, 8, 10, 10],)], counts, sensor=sensor)
    # A row that comes later shows that everything before it in its partition is decided on.
    hand_in(lines[:1], **{"Idempotency-Key": "one"})
    demo.wait_rows([(68, 68)], stored, sensor=sensor)
    hand_in(lines[:1], **{"Idempotency-Key": "one"})
    hand_in(lines[:1], **{"Idempotency-Key": "two"})
    demo.wait_rows([(69, 69)], stored, sensor=sensor)
    demo.wait_rows([(8,)], "SELECT count() FROM sessions_current WHERE sensor = {sensor:String}", sensor=sensor)
