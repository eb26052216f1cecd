"""Audit trails of SPS: a download is the session's records, and a record itself (sps-facts 1.9)."""

import asyncio
import json
import time

import msgspec
import pytest

from producers.formats import DECODERS, Rejection, Source, decode
from schemas.settings import Settings
from tests.conformance.conftest import Api, Apis
from tests.conformance.sps import BEGIN, api, commands, path, session
from tests.conformance.store import Store, micros
from tests.integration.sinks import running_sink

__all__ = ["api"]

pytestmark = pytest.mark.integration


async def trail(api: Api, session_id: str) -> bytes:
    headers = {"Accept": "application/octet-stream"}
    async with api.http.get(f"{api.base}{path(session_id)}/audit_trail", headers=headers) as answer:
        assert (answer.status, answer.content_type) == (200, "application/octet-stream")
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="')
        return await answer.read()


async def test_a_download_has_every_record_and_shows_as_one(
    api: Api, store: Store, settings: Settings, sensor: str
) -> None:
    key = f"{sensor}/1"
    store.sessions([session(sensor, key, event_count=3)])
    row = {"sensor": sensor, "session_id": key, "time": micros(BEGIN), "client_ip": "10.0.0.1", "client_port": 7}
    details = '{"a": [1, {"b": "\\u2603"}], "text": "line\\nbreak"}'
    store.events([{**row, "kind": "connect", "type": 5, "started": micros(BEGIN - 5), "details": details}])
    commands(store, sensor, key, ["$ sudo id\nuid=0", "$ exit"], action="sudo id", user="root")
    commands(store, sensor, "another", ["$ no"])
    before = store.number("SELECT count() FROM sessions_all WHERE sensor = {s:String}", s=sensor)
    async with running_sink(settings):
        file = await trail(api, key)
        lines = [json.loads(line) for line in file.splitlines()]
        assert [line["kind"] for line in lines] == ["connect", "command", "command"]
        assert lines[0]["details"] == json.loads(details)
        assert (lines[0]["client_ip"], lines[0]["client_port"], lines[0]["type"]) == ("10.0.0.1", 7, 5)
        assert lines[1]["content"] == "$ sudo id\nuid=0" and lines[1]["action"] == "sudo id"
        # Each line is a record that can be published again as it is.
        for number, line in enumerate(file.splitlines()):
            found = decode(DECODERS["sojourn.event"], line, number, 0, Source("e", "sensor.events", 0))
            assert not isinstance(found, Rejection)
            again = msgspec.json.decode(msgspec.json.encode(found[0].event))
            assert (again["session_id"], again["sensor"]) == (key, sensor)
            assert again["time"] == BEGIN + number * 1_000_000
        downloads = f"{path(key)}/trail_downloads"
        deadline = time.monotonic() + 60
        while not (answer := await api.get(downloads))["items"]:
            assert time.monotonic() < deadline, "the download is not among the downloads"
            await asyncio.sleep(0.1)
    (item,) = answer["items"]
    assert item.pop("time").endswith("Z")
    assert item == {"from_api": True, "ip_address": "127.0.0.1", "username": "anybody"}
    assert answer["meta"]["match_count"] == 1 and answer["meta"]["href"] == downloads
    # It is an event of this API, and no activity of the session.
    assert (await api.get(f"{path(key)}/events"))["meta"]["last"].endswith("offset=0")
    assert store.number("SELECT count() FROM sessions_all WHERE sensor = {s:String}", s=sensor) == before
    assert store.number("SELECT count() FROM events WHERE session_id = {k:String}", k=key) == 3


async def test_without_records_there_is_no_trail_and_without_kafka_none_is_given(
    api: Api, apis: Apis, store: Store, settings: Settings, sensor: str
) -> None:
    store.sessions([session(sensor, f"{sensor}.none"), session(sensor, f"{sensor}.some", event_count=1)])
    commands(store, sensor, f"{sensor}.some", ["$ ls"])
    await api.get(f"{path(f'{sensor}.none')}/audit_trail", status=404)
    away = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, bootstrap="127.0.0.1:9"))
    alone = await apis.start(away)
    async with alone.http.get(f"{alone.base}{path(f'{sensor}.some')}/audit_trail") as answer:
        assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
        assert (await answer.json())["error"]["type"] == "ServiceUnavailable"
