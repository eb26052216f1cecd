"""Fudo's API v2, POST /batch (fudo-facts 2.7): references, what is atomic, and what cannot be meant."""

from typing import Any

import msgspec
import pytest

from schemas.records import Connection
from schemas.settings import Backup, Settings
from tests.conformance.conftest import Apis
from tests.conformance.fudo import Fudo, numbered, started
from tests.conformance.store import Store
from tests.conformance.test_fudo_changing import written

pytestmark = pytest.mark.integration


@pytest.fixture
async def fudo(apis: Apis, settings: Settings) -> Fudo:
    return await started(apis, settings)


async def batch(fudo: Fudo, requests: list[dict[str, Any]], status: int = 200, **more: Any) -> dict[str, Any]:
    return await fudo.ask("POST", "/batch", {"requests": requests, **more}, status)


async def test_requests_are_answered_in_order_under_their_ids(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-1": {"user": "a"}, f"{sensor}-2": {"user": "b"}})
    answer = await batch(
        fudo,
        [
            {
                "id": "list-1:x_y",
                "method": "GET",
                "endpoint": "/session",
                "params": {
                    "fields": ["id", "user_id"],
                    "filter": f"listener_id.eq({sensor})",
                    "order": "id",
                    "limit": 10,
                    "total_count": True,
                    "debug": False,
                },
            },
            {"endpoint": f"/session/{sensor}-2?fields=user_id"},
        ],
    )
    sessions = [{"id": f"{sensor}-1", "user_id": "a"}, {"id": f"{sensor}-2", "user_id": "b"}]
    first, second = answer["responses"]
    assert answer["result"] == "success"
    assert first == {"id": "list-1:x_y", "result": "success", "status": 200, "total_count": 2, "session": sessions}
    assert second == {"id": "request1", "result": "success", "status": 200, "session": {"user_id": "b"}}


async def test_references_reach_into_variables_and_earlier_answers(fudo: Fudo, store: Store, sensor: str) -> None:
    odd = f"{sensor}/{{x}} 100%"
    numbered(store, sensor, {odd: {"user": "root", "client_port": 22}})
    find = {"filter": "listener_id.eq({who})", "limit": "{count}"}
    answer = await batch(
        fudo,
        [
            {"endpoint": "/session", "params": find},
            {"id": "again", "endpoint": "/session/{request0.session.0.id}", "params": {"fields": "{fields}"}},
            {
                "endpoint": "/session",
                "params": {"filter": "source_port.eq({again.session.source_port})", "limit": 0},
            },
        ],
        variables={"who": sensor, "count": 1, "fields": ["id", "source_port"]},
    )
    assert [one["result"] for one in answer["responses"]] == ["success"] * 3
    assert answer["responses"][1]["session"] == {"id": odd, "source_port": 22}


async def test_one_failure_does_not_stop_the_others(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-1": {}})
    good = {"endpoint": f"/session/{sensor}-1", "params": {"fields": "id"}}
    failing: list[tuple[dict[str, Any], int, str]] = [
        ({"endpoint": f"/session/{sensor}-2"}, 404, "Object not found"),
        ({"endpoint": "/user"}, 400, "Unrecognized endpoint"),
        ({"endpoint": "/batch", "method": "POST", "data": {}}, 400, "Unrecognized endpoint"),
        ({"endpoint": "/session/1", "method": "DELETE"}, 400, "Unrecognized endpoint"),
        ({"endpoint": "/session"}, 400, "limit is needed in a batch, at most 10000"),
        ({"endpoint": "/session", "params": {"limit": 10001}}, 400, "limit is needed in a batch"),
        ({"endpoint": "/session?limit=1&colour=red"}, 400, "no parameter colour"),
        ({"endpoint": "/objspec/session"}, 400, "Unrecognized endpoint"),
        ({"endpoint": "/session", "params": {"limit": 1}, "data": {}}, 400, "Request body is not allowed"),
        ({"endpoint": "/session/{nobody.id}"}, 400, "{nobody.id} refers to no variable"),
        ({"endpoint": "/session/{request0.session.5}"}, 400, "there is no 5"),
        ({"endpoint": "/session/{request0.session}"}, 400, "is no text or number"),
        ({"endpoint": "/session/{request1.session.id}"}, 400, "refers to no variable and to no request answered"),
        ({"endpoint": f"/session/{sensor}-1", "method": "PATCH"}, 400, "data must be an object"),
        ({"endpoint": f"/session/{sensor}-1", "method": "PATCH", "data": {"paused": 1}}, 400, "true or false"),
        ({"endpoint": "/session_backup", "method": "POST", "data": {}}, 400, "exactly one of session_id"),
        ({"endpoint": f"/session/{sensor}-1/backup/x", "method": "POST"}, 404, "no backup target x"),
        ({"endpoint": f"/session/{sensor}-1/backup/x", "method": "POST", "data": {}}, 400, "body is not allowed"),
    ]
    answer = await batch(fudo, [good, *(request for request, _, _ in failing), good])
    assert answer["result"] == "success"
    first, *middle, last = answer["responses"]
    assert first["session"] == last["session"] == {"id": f"{sensor}-1"}
    for found, (request, status, words) in zip(middle, failing, strict=True):
        assert (found["result"], found["status"]) == ("failure", status), (request, found)
        assert words in found["message"]


async def test_atomic_requests_are_written_together_or_not_at_all(
    fudo: Fudo, store: Store, settings: Settings, sensor: str
) -> None:
    numbered(store, sensor, {f"{sensor}-{n}": {} for n in range(3)})
    good = [{"endpoint": f"/session/{sensor}-{n}", "method": "PATCH", "data": {"reason": str(n)}} for n in range(3)]
    bad = {"endpoint": f"/session/{sensor}-9", "method": "PATCH", "data": {"reason": "x"}}
    answer = await batch(fudo, [*good, bad], 400, atomic=True)
    assert (answer["result"], answer["message"]) == ("failure", "an atomic request failed: none of them was made")
    assert [one["status"] for one in answer["responses"]] == [400, 400, 400, 404]
    assert await written(settings, sensor) == []

    # A request of its own mind fails alone, and is made whatever becomes of the others.
    answer = await batch(fudo, [*good, {**bad, "atomic": False}], atomic=True)
    assert [one["status"] for one in answer["responses"]] == [202, 202, 202, 404]
    assert reasons(await written(settings, sensor)) == ["0", "1", "2"]
    answer = await batch(fudo, [good[0], {**good[1], "atomic": True}, {**bad, "atomic": True}], 400)
    assert [one["status"] for one in answer["responses"]] == [202, 400, 404]
    assert reasons(await written(settings, sensor)) == ["0", "0", "1", "2"]


def reasons(records: list[Connection]) -> list[str]:
    return sorted(str(record.amend.reason) for record in records if record.amend is not None)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "requests must be a list of at least one request"),
        ({"requests": []}, "at least one request"),
        ({"requests": [1]}, "requests.0 must be an object"),
        ({"requests": [{}]}, "requests.0.endpoint must be a path"),
        ({"requests": [{"endpoint": "session"}]}, "requests.0.endpoint must be a path"),
        (
            {"requests": [{"endpoint": "/session", "method": "PUT"}]},
            "requests.0.method must be one of GET, POST",
        ),
        ({"requests": [{"endpoint": "/session", "params": []}]}, "requests.0.params must be an object"),
        ({"requests": [{"endpoint": "/session", "params": {"colour": 1}}]}, "no member requests.0.params.colour"),
        ({"requests": [{"endpoint": "/session", "params": {"limit": {}}}]}, "requests.0.params.limit must be a text"),
        (b'{"requests": [{"endpoint": "/session/\\ud800"}]}', "requests.0.endpoint must be a path"),
        (
            b'{"requests": [{"endpoint": "/session", "params": {"filter": "id.eq(\\ud800)"}}]}',
            "requests.0.params.filter must be a text",
        ),
        (
            b'{"requests": [{"endpoint": "/session/{a}"}], "variables": {"a": ["\\udfff"]}}',
            "variables.a must be a text",
        ),
        ({"requests": [{"endpoint": "/session", "data": None}]}, "requests.0.data must be an object"),
        ({"requests": [{"endpoint": "/session", "data": {"a": {}}}]}, "requests.0.data.a must be a text"),
        ({"requests": [{"endpoint": "/session"}], "variables": {"a": None}}, "variables.a must be a text"),
        ({"requests": [{"endpoint": "/session", "atomic": 1}]}, "requests.0.atomic must be true or false"),
        ({"requests": [{"endpoint": "/session", "id": "a b"}]}, "requests.0.id must be 1 to 64"),
        ({"requests": [{"endpoint": "/session", "id": "a"}] * 2}, "requests.1.id: a is used already"),
        ({"requests": [{"endpoint": "/session", "id": "a"}], "variables": {"a": 1}}, "a is used already"),
        ({"requests": [{"endpoint": "/session", "body": 1}]}, "no member requests.0.body"),
        ({"requests": [{"endpoint": "/session"}] * 101}, "at most 100"),
        ({"requests": [{"endpoint": "/session"}], "variables": []}, "variables must be an object"),
        ({"requests": [{"endpoint": "/session"}], "variables": {"a.b": 1}}, "variables must have names"),
        ({"requests": [{"endpoint": "/session"}], "atomic": "yes"}, "atomic must be true or false"),
        ({"requests": [{"endpoint": "/session"}], "other": 1}, "no member other"),
    ],
)
async def test_a_batch_that_cannot_be_read_is_refused_as_a_whole(fudo: Fudo, body: Any, words: str) -> None:
    assert words in await fudo.refused("/batch", "POST", body)


async def test_lists_of_a_batch_share_their_rows(fudo: Fudo) -> None:
    request = {"endpoint": "/session", "params": {"limit": 6000, "fields": "id"}}
    answer = await batch(fudo, [request, request])
    assert [one["status"] for one in answer["responses"]] == [200, 400]
    assert "at most 4000 of 10000 are left" in answer["responses"][1]["message"]


async def test_without_kafka_an_atomic_batch_is_put_off(
    apis: Apis, settings: Settings, store: Store, sensor: str
) -> None:
    numbered(store, sensor, {f"{sensor}-1": {}})
    kafka = msgspec.structs.replace(settings.kafka, bootstrap="127.0.0.1:9")
    targets = Backup(targets={"t": "/nowhere"})
    fudo = await started(apis, msgspec.structs.replace(settings, kafka=kafka, backup=targets))
    requests: list[dict[str, Any]] = [
        {"endpoint": f"/session/{sensor}-1", "method": "PATCH", "data": {"paused": True}},
        {"endpoint": f"/session/{sensor}-1/backup/t", "method": "POST"},
    ]
    url = f"{fudo.api.base}/api/v2/batch"
    async with fudo.api.http.post(url, json={"atomic": True, "requests": requests}) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        found = await answer.json()
        assert [one["status"] for one in found["responses"]] == [503, 503]
    answer_of_each = await batch(fudo, requests)
    assert [one["status"] for one in answer_of_each["responses"]] == [503, 503]


async def test_an_id_that_no_parameter_of_clickhouse_takes_is_refused_in_words(fudo: Fudo) -> None:
    answer = await batch(fudo, [{"endpoint": f"/session/{'x' * 200_000}"}])
    (only,) = answer["responses"]
    assert only["status"] == 400 and "128 KiB" in only["message"]
