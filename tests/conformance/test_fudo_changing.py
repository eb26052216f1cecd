"""Fudo's API v2, PATCH of a session: what may be written, and what is answered while nothing downstream runs."""

import socket
from typing import Any

import msgspec
import pytest

from producers.formats import DECODERS, Source, decode
from schemas.records import Action, Amendment, Connection
from schemas.settings import Settings
from schemas.topics import CONNECTIONS_IN
from tests.conformance.conftest import Apis
from tests.conformance.fudo import Fudo, numbered, started
from tests.conformance.store import Store
from tests.workers import messages

pytestmark = pytest.mark.integration


@pytest.fixture
async def fudo(apis: Apis, settings: Settings) -> Fudo:
    return await started(apis, settings)


async def written(settings: Settings, sensor: str) -> list[Connection]:
    """The connection records of a sensor, as route will decode them, in order."""
    found = []
    for message in await messages(settings, CONNECTIONS_IN):
        decoded = decode(
            DECODERS["sojourn.connection"], message.value, message.offset, 0, Source("e", CONNECTIONS_IN, 0), ""
        )
        assert isinstance(decoded, list)
        found += [one.connection for one in decoded if one.connection and one.connection.sensor == sensor]
    return found


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body names nothing to change; writable are terminate_at, dump_mode, paused"),
        (b"{}", "the body names nothing to change"),
        (b"[]", "the body must be a JSON object"),
        (b"{", "the body is not JSON"),
        ({"colour": 1}, "no attribute colour"),
        (
            {"id": "2"},
            "id is read-only; writable are terminate_at, dump_mode, paused, retention_locked, reason",
        ),
        ({"protocol": "gopher"}, "protocol is read-only"),
        ({"paused": 1}, "paused must be true or false"),
        ({"paused": None}, "paused must be true or false"),
        ({"retention_locked": "true"}, "retention_locked must be true or false"),
        ({"removed": False}, "a removed session stays removed"),
        ({"dump_mode": "some"}, "dump_mode must be null or one of all, none, raw, noraw"),
        ({"dump_mode": ["all"]}, "dump_mode must be null or one of"),
        ({"status": "closed"}, "one of approved, disconnected, expired, rejected, terminated, waiting"),
        ({"reason": 5}, "reason must be null or a text of at most 1024 characters"),
        ({"reason": "x" * 1025}, "at most 1024 characters"),
        (b'{"reason": "\\ud800"}', "reason must be null or a text"),
        ({"terminate_at": "soon"}, "terminate_at must be a time such as 2022-04-05 16:06:07.313862+02"),
        ({"terminate_at": 5}, "terminate_at must be null or a time"),
        ({"terminate_at": "1960-01-01 00:00:00+00"}, "after 1970"),
        ({"paused": True, "reason": 5}, "reason must be"),
    ],
)
async def test_what_cannot_be_written_is_refused_by_name_and_nothing_is_written(
    fudo: Fudo, store: Store, settings: Settings, sensor: str, body: Any, words: str
) -> None:
    numbered(store, sensor, {f"{sensor}-1": {}})
    assert words in await fudo.refused(f"/session/{sensor}-1", "PATCH", body)
    assert await written(settings, sensor) == []


async def test_an_unknown_or_removed_session_is_not_found(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-1": {"removed": True}})
    for name in (f"{sensor}-1", f"{sensor}-2"):
        assert await fudo.refused(f"/session/{name}", "PATCH", {"paused": True}, 404) == "Object not found"


async def test_a_locked_session_is_not_removed(fudo: Fudo, store: Store, settings: Settings, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-1": {"retention_locked": True}})
    assert "retention_locked" in await fudo.refused(f"/session/{sensor}-1", "PATCH", {"removed": True})
    assert await written(settings, sensor) == []


async def test_parameters_of_reading_are_refused(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-1": {}})
    words = await fudo.refused(f"/session/{sensor}-1?limit=1", "PATCH", {"paused": True})
    assert "no parameter limit here; known are debug, fields" in words


async def test_a_body_must_say_that_it_is_json(fudo: Fudo, store: Store, sensor: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        path = f"{fudo.api.base}/api/v2/session/{sensor}"
        async with fudo.api.http.patch(path, data=b"{}", headers={"Content-Type": kind}) as answer:
            assert answer.status == 415
            assert (await answer.json())["result"] == "failure"


async def test_a_change_that_reads_do_not_show_within_five_seconds_is_accepted_and_on_kafka(
    fudo: Fudo, store: Store, settings: Settings, sensor: str
) -> None:
    numbered(store, sensor, {f"{sensor}-1": {"key": f'["{sensor}","{sensor}-1"]'}})
    body = {
        "paused": True,
        "retention_locked": False,
        "terminate_at": "2030-01-01 01:00:00+01",
        "reason": "maintenance",
        "dump_mode": "none",
        "login_reason": None,
        "pending_delete": True,
        "removed": True,
    }
    answer = await fudo.ask("PATCH", f"/session/{sensor}-1", body, 202, headers={"Idempotency-Key": "a"})
    assert answer == {"result": "success", "pending": True}
    amend, remove = await written(settings, sensor)
    assert (amend.action, amend.session_id, amend.key) == (Action.AMEND, f"{sensor}-1", f'["{sensor}","{sensor}-1"]')
    expected = Amendment(paused=True, retention_locked=False, terminate_at=1_893_456_000_000_000, reason="maintenance")
    assert msgspec.structs.asdict(amend.amend or Amendment()) == msgspec.structs.asdict(expected)
    assert amend.attributes == {"fudo.dump_mode": "none", "fudo.login_reason": "", "fudo.pending_delete": "true"}
    assert (remove.action, remove.session_id, remove.key) == (Action.REMOVE, amend.session_id, amend.key)
    assert amend.record_id != remove.record_id

    store.sessions([{**_row(sensor), "revision": 2, "requests": [amend.record_id, remove.record_id]}])
    answer = await fudo.ask("PATCH", f"/session/{sensor}-1", body, headers={"Idempotency-Key": "a"})
    assert answer == {"result": "success"}
    assert len(await written(settings, sensor)) == 2, "the same request with the same key is the same change"
    await fudo.ask("PATCH", f"/session/{sensor}-1", body, 202, headers={"Idempotency-Key": "b"})
    assert len({record.record_id for record in await written(settings, sensor)}) == 4


def _row(sensor: str) -> dict[str, Any]:
    start = "2026-03-01 10:00:00"
    key = f'["{sensor}","{sensor}-1"]'
    return {"sensor": sensor, "session_id": f"{sensor}-1", "started_at": start, "last_activity_at": start, "key": key}


@pytest.mark.parametrize("key", ["", "x" * 256, "ä"])
async def test_an_idempotency_key_that_cannot_be_one_is_refused(
    fudo: Fudo, store: Store, sensor: str, key: str
) -> None:
    numbered(store, sensor, {f"{sensor}-1": {}})
    answer = await fudo.ask("PATCH", f"/session/{sensor}-1", {"paused": True}, 400, headers={"Idempotency-Key": key})
    assert "Idempotency-Key must be 1 to 255 printable characters" in answer["message"]


async def test_without_kafka_nothing_is_written_and_the_client_is_told_when_to_come_back(
    apis: Apis, settings: Settings, store: Store, sensor: str
) -> None:
    numbered(store, sensor, {f"{sensor}-1": {}})
    with socket.socket() as silent:
        # Listens and never says anything: a broker that hangs.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        kafka = msgspec.structs.replace(settings.kafka, bootstrap=f"127.0.0.1:{port}")
        fudo = await started(apis, msgspec.structs.replace(settings, kafka=kafka))
        path = f"{fudo.api.base}/api/v2/session/{sensor}-1"
        async with fudo.api.http.patch(path, json={"paused": True}) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            assert "Kafka did not acknowledge" in (await answer.json())["message"]
    # Nobody listens there any more: refused at once.
    assert "Kafka did not acknowledge" in await fudo.refused(f"/session/{sensor}-1", "PATCH", {"paused": True}, 503)
