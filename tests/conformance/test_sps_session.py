"""A session of SPS, whole: the document's example and its table (reference: sps-sessions.txt, sps-facts 1.8)."""

from typing import Any

import msgspec
import pytest

from query_api.dialects.sps.described import SpsSession, SpsSessions
from tests.conformance.conftest import Api
from tests.conformance.sps import SESSIONS, api, path, query, session
from tests.conformance.store import Store, moment

__all__ = ["api"]

pytestmark = pytest.mark.integration

KEY = "rUhhQZ3jYsY1NDWYp9DEpq"
ADDRESS = {"ip": "10.20.30.40", "name": "10.20.30.40"}


def example(sensor: str, key: str) -> dict[str, Any]:
    """The document's session as a sensor and annotations tell of it. Its end lies before its start: not copied."""
    return session(
        sensor,
        key,
        protocol="ssh",
        client_ip="10.20.30.40",
        client_port=59125,
        server_ip="10.20.30.40",
        server_port=22,
        created_at=moment("2018-11-14T12:26:59.244"),
        duration=57.4,
        user="myname",
        user_id="myid",
        server_user="myserver",
        version=15,
        event_count=3,
        attributes={
            "auth_method": "password",
            "channel_policy": "shell-only",
            "connection_policy": "myconnectionpolicy",
            "verdict": "accept",
        },
    )


def expected(key: str) -> dict[str, Any]:
    """The example's body with what the table has beside it, and a search of the content."""
    links = {name: {"href": f"{SESSIONS}/{key}/{name}"} for name in ("alerts", "channels", "events", "indexing")}
    server = {**ADDRESS, "port": 22}
    return {
        "active": False,
        **links,
        "trail_downloads": {"href": f"{SESSIONS}/{key}/trail_downloads"},
        "content": {"href": f"{SESSIONS}/{key}/content"},
        "analytics": {
            "interesting_events": [],
            "scripted": False,
            "scripted_results": {},
            "similar_sessions": [],
            "tags": [],
        },
        "client": {**ADDRESS, "port": 59125},
        "creation_time": "2018-11-14T12:26:59.244Z",
        "duration": 57,
        "start_time": "2018-09-15T10:53:00+00:00",
        "end_time": "2018-09-15T10:53:57+00:00",
        "hidden": False,
        "origin": "RECORDING",
        "phantom": False,
        "protocol": "SSH",
        "recording": {
            "archived": False,
            "audit_trail": {"archive": None, "download": {"href": f"{SESSIONS}/{key}/audit_trail"}},
            "auth_method": "password",
            "channel_policy": "shell-only",
            "command_extracted": False,
            "connection_policy": "myconnectionpolicy",
            "has_accepted_channel": True,
            "index_status": "INDEXED",
            "network_id": None,
            "server_local": server,
            "session_id": f"svc/{key}/SENSOR",
            "target": server,
            "verdict": "ACCEPT",
            "window_title_extracted": False,
        },
        "revision": 15,
        "server": server,
        "user": {"id": "myid", "name": "myname", "server_username": "myserver"},
        "verdict": "ACCEPT",
    }


async def test_the_example_comes_back_with_every_member(api: Api, store: Store, sensor: str) -> None:
    key = f"{KEY}-{sensor[-8:]}"
    store.sessions([example(sensor, key)])
    answer = await api.get(path(key))
    assert list(answer) == ["body", "key", "meta"]
    assert answer["key"] == key
    remaining = answer["meta"].pop("remaining_seconds")
    assert isinstance(remaining, int) and 0 < remaining <= 1200
    assert answer["meta"] == {"href": f"{SESSIONS}/{key}", "parent": SESSIONS}
    body, recording = answer["body"], answer["body"]["recording"]
    node, policy, reference = (
        body.pop("node_id"),
        recording.pop("connection_policy_id"),
        recording.pop("content_reference_id"),
    )
    assert [len(part) for part in node.split("-")] == [8, 4, 4, 4, 12]
    assert len(policy) == 23 and set(policy) <= set("0123456789abcdef")
    assert isinstance(reference, int) and 0 < reference < 2**53
    recording["session_id"] = recording["session_id"].replace(sensor, "SENSOR")
    assert body == expected(key)
    # In the order of their names, as the example is printed.
    assert list(body) == sorted(body) and list(recording) == sorted(recording)


async def test_everything_in_a_list_is_the_same_body(api: Api, store: Store, sensor: str) -> None:
    store.sessions([example(sensor, f"{KEY}-{sensor[-8:]}")])
    alone = await api.get(path(f"{KEY}-{sensor[-8:]}"))
    asked = query(q=f"recording.session_id:*{sensor}", fields="*")
    (item,) = (await api.get(SESSIONS + asked))["items"]
    assert item["body"] == alone["body"]


async def test_a_session_that_goes_on_is_active_without_end_and_duration(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, sensor, state="open", ended_at=None, event_count=0)])
    body = (await api.get(path(sensor)))["body"]
    assert (body["active"], body["end_time"], body["duration"]) == (True, None, None)
    assert body["recording"]["index_status"] == "CHANNEL_OPEN"
    # If the session does not have an audit trail, this element is not used.
    assert "audit_trail" not in body["recording"]


async def test_times_have_the_digits_they_need(api: Api, store: Store, sensor: str) -> None:
    times = {"started_at": moment("2018-10-11T09:23:38.120000"), "ended_at": moment("2018-10-11T09:23:38.000007")}
    store.sessions([session(sensor, sensor, **times)])
    body = (await api.get(path(sensor)))["body"]
    assert (body["start_time"], body["end_time"]) == (
        "2018-10-11T09:23:38.12+00:00",
        "2018-10-11T09:23:38.000007+00:00",
    )


@pytest.mark.parametrize(
    ("columns", "verdict", "accepted"),
    [
        ({"attributes": {"login": "success"}, "event_count": 3}, "ACCEPT", True),
        ({"attributes": {"login": "failed"}, "event_count": 3}, "AUTH_FAIL", False),
        ({"end_reason": "max_duration", "event_count": 3}, "TERMINATED", False),
        ({"attributes": {"verdict": "fail", "login": "failed"}}, "FAIL", False),
        ({}, "ACCEPT", False),
    ],
)
async def test_verdicts_are_upper_case_on_both_levels(
    api: Api, store: Store, sensor: str, columns: dict[str, Any], verdict: str, accepted: bool
) -> None:
    key = f"{sensor}-{verdict}-{accepted}"
    store.sessions([session(sensor, key, **columns)])
    body = (await api.get(path(key)))["body"]
    assert (body["verdict"], body["recording"]["verdict"]) == (verdict, verdict)
    assert body["recording"]["has_accepted_channel"] is accepted


async def test_commands_and_window_titles_are_said_to_be_there(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, sensor, event_count=2)])
    row = {"sensor": sensor, "session_id": sensor, "time": moment("2018-09-15T10:53:01")}
    store.events([{**row, "kind": "command"}, {**row, "kind": "window_title"}])
    recording = (await api.get(path(sensor)))["body"]["recording"]
    assert (recording["command_extracted"], recording["window_title_extracted"]) == (True, True)


@pytest.mark.parametrize("key", ["with space", "a/b", "50%", "ä", "?x=1#y", "quote'\"", "_", "-"])
async def test_any_id_is_one_segment_of_the_path(api: Api, store: Store, sensor: str, key: str) -> None:
    key = f"{sensor}{key}"
    store.sessions([session(sensor, key)])
    body = (await api.get(path(key)))["body"]
    # Following the link leads to the same session.
    for part in ("events", "alerts", "channels", "indexing", "trail_downloads", "content"):
        answer = await api.get(body[part]["href"])
        assert answer["items"] == []
        assert (await api.get(answer["meta"]["parent"]))["key"] == key


async def test_a_session_is_found_by_its_latest_version_and_not_when_removed(
    api: Api, store: Store, sensor: str
) -> None:
    store.sessions([session(sensor, sensor, user="before", version=1)])
    store.sessions([session(sensor, sensor, user="after", version=2, revision=2)])
    body = (await api.get(path(sensor)))["body"]
    assert (body["user"]["name"], body["revision"]) == ("after", 2)
    store.sessions([session(sensor, sensor, removed=True, revision=3)])
    for part in ("", "/events", "/channels", "/audit_trail"):
        answer = await api.get(path(sensor) + part, status=404)
        assert answer["error"]["type"] == "ResourceNotFound"


async def test_what_nobody_knows_is_404_with_the_path(api: Api) -> None:
    for unknown in (f"{SESSIONS}/nosuch", f"{SESSIONS}/nosuch/events", "/api/nosuch", "/api/audit/nosuch"):
        answer = await api.get(unknown, status=404)
        assert answer["error"].keys() == {"type", "message", "details"}
        assert answer["meta"]["href"] == unknown


async def test_the_document_describes_the_body_exactly(api: Api, store: Store, sensor: str) -> None:
    store.sessions([example(sensor, sensor)])
    for where, described in ((path(sensor), SpsSession), (SESSIONS + query(fields="*", limit=5), SpsSessions)):
        async with api.http.get(api.base + where) as answer:
            # Members that the struct does not have are refused.
            msgspec.json.decode(await answer.read(), type=described)
