"""Every door takes the parameters and headers that the document says it takes, and no others."""

import re
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import Meta

from query_api.openapi.doors import Door
from query_api.owners import owner_of
from query_api.routes import DOORS
from query_api.writes import KEY_DESCRIBED, KEY_HEADER
from tests.conformance.conftest import Api, api, apis, store
from tests.conformance.store import Store, moment

__all__ = ["api", "apis", "store"]

pytestmark = pytest.mark.integration


#: Of what is one of a few words; anything else may be a number.
_WORDS = {"type": "basic", "login_method": "local", "format": "json"}


def names(door: Door) -> set[str]:
    return set() if door.query is None else {field.encode_name for field in msgspec.structs.fields(door.query)}


def doors(*owners: str, method: str = "GET") -> Iterator[Door]:
    return (door for door in DOORS if owner_of(door.template).name in owners and door.method == method)


def paths(door: Door, session: str) -> str:
    return re.sub(r"\{[a-z]+\}", session, door.template)


async def said(api: Api, path: str, query: str) -> str:
    async with api.http.get(f"{api.base}{path}?{query}") as answer:
        return await answer.text()


async def test_what_an_owner_refuses_as_unknown_is_all_that_is_not_declared(api: Api) -> None:
    for door in doors("fudo", "honeytrap"):
        if door.path == "/ws":
            # Whoever does not upgrade is told that first.
            continue
        answer = await said(api, paths(door, "0"), "no_such=1")
        known = answer.partition("known are ")[2].partition('"')[0].removesuffix("none")
        assert set(filter(None, known.split(", "))) == names(door), (door.path, answer)


async def test_sps_reads_what_is_declared_and_nothing_else(api: Api, store: Store, sensor: str) -> None:
    row = {"sensor": sensor, "session_id": sensor, "event_count": 1}
    store.sessions(
        [{**row, "started_at": moment("2026-01-01T10:00:00"), "last_activity_at": moment("2026-01-01T10:00:00")}]
    )
    every = set().union(*(names(door) for door in doors("sps")))
    assert {"q", "snapshot", "bin-size", "login_method"} <= every
    for door in doors("sps"):
        if door.path.endswith(("/audit_trail", "/{channel}")):
            # The one publishes, the other has no such channel: neither has parameters.
            assert not names(door)
            continue
        for name in every:
            # What is read may not be given twice.
            needed = "&field=protocol" if name != "field" and "field" in names(door) else ""
            value = _WORDS.get(name, "1")
            answer = await said(api, paths(door, sensor), f"{name}={value}&{name}={value}{needed}")
            assert (f"{name} is given twice" in answer) == (name in names(door)), (door.path, name, answer[:300])
    store.forget_snapshots()


def test_who_may_name_a_request_is_told_so() -> None:
    writing = {(door.method, door.template) for door in DOORS if door.method != "GET"}
    assert writing - {(door.method, door.template) for door in DOORS if KEY_HEADER in door.headers} == {
        ("DELETE", "/api/authentication")
    }
    (meta,) = KEY_DESCRIBED[KEY_HEADER].__metadata__
    assert isinstance(meta, Meta) and meta.max_length == 255
