"""Lists of sessions: the document's example, pages, properties, order, counts (sps-facts 1.2, 1.4, 1.5)."""

import csv
import io
from typing import Any

import pytest

from query_api.dialects.sps.session_fields import SESSION
from tests.conformance.conftest import Api
from tests.conformance.sps import SESSIONS, api, commands, keys, many, path, query, session
from tests.conformance.store import Store, moment

__all__ = ["api"]

pytestmark = pytest.mark.integration


def ours(sensor: str, **more: Any) -> str:
    return SESSIONS + query(q=f"recording.connection_policy:{sensor}", **more)


async def test_the_example_has_keys_and_links_and_its_meta(api: Api, store: Store, sensor: str) -> None:
    ids = many(store, sensor, 39)
    found = await api.get(ours(sensor))
    assert list(found) == ["items", "meta"]
    # Without fields an item has key and meta alone; newest first.
    assert found["items"] == [{"key": key, "meta": {"href": path(key)}} for key in ids]
    links = f"/api/audit/sessions?limit=500&offset=0&fields=&q=recording.connection_policy:{sensor}"
    assert found["meta"] == {
        "fields": [],
        "first": links,
        "href": "/api/audit/sessions",
        "last": links,
        "limit": 500,
        "match_count": 39,
        "next": None,
        "offset": 0,
        "parent": "/api/audit",
        "previous": None,
    }
    everything = (await api.get(SESSIONS + "?limit=2"))["meta"]
    assert everything["first"] == "/api/audit/sessions?limit=2&offset=0&fields="


async def test_links_lead_through_all_pages_and_back(api: Api, store: Store, sensor: str) -> None:
    ids = many(store, sensor, 23)
    here: str | None = ours(sensor, limit=5, sort="start_time", fields="user.name")
    seen, metas = [], []
    while here:
        answer = await api.get(here)
        seen += keys(answer)
        metas.append(answer["meta"])
        here = answer["meta"]["next"]
    assert seen == list(reversed(ids))
    assert [meta["offset"] for meta in metas] == [0, 5, 10, 15, 20]
    assert all(meta["match_count"] == 23 and meta["limit"] == 5 for meta in metas)
    assert keys(await api.get(metas[0]["last"])) == seen[20:]
    assert keys(await api.get(metas[4]["first"])) == seen[:5]
    assert keys(await api.get(metas[4]["previous"])) == seen[15:20]
    assert metas[0]["previous"] is None


async def test_offsets_count_from_0_and_limits_end_at_500(api: Api, store: Store, sensor: str) -> None:
    # The document's arithmetic shows 501 to 1000 with offset=501: pages count from 0 (sps-facts 1.10).
    ids = many(store, sensor, 501)
    assert len(keys(await api.get(ours(sensor)))) == 500
    rest = await api.get(ours(sensor, offset=500))
    assert (keys(rest), rest["meta"]["previous"] is not None) == (ids[500:], True)
    large = await api.get(ours(sensor, limit=1000))
    assert (large["meta"]["limit"], len(large["items"])) == (500, 500)
    # Results beyond 10,000 are never shown, an offset beyond is ignored.
    far = await api.get(ours(sensor, offset=10_001, limit=3))
    assert (far["meta"]["offset"], keys(far)) == (0, ids[:3])
    assert (await api.get(ours(sensor, offset=10_000)))["items"] == []


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"fields": "nosuch"}, "fields"),
        ({"sort": "nosuch"}, "sort"),
        ({"sort": "--start_time"}, "sort"),
        ({"start": "yesterday"}, "start"),
        ({"end": "2017-13-01"}, "end"),
        ({"start": "0001-01-01"}, "start"),
        ({"start": "2017-01-25T10:00:00+99:99"}, "start"),
        ({"format": "xml"}, "format"),
        ({"q": "a", "snapshot": "nosuch", "search_after": "x"}, "search_after"),
    ],
)
async def test_what_does_not_fit_is_400_and_names_the_parameter(
    api: Api, parameters: dict[str, Any], field: str
) -> None:
    answer = await api.get(SESSIONS + query(**parameters), status=400)
    assert answer["error"]["type"] == "InvalidQuery"
    assert answer["error"]["details"] == {"field": field}
    assert field in answer["error"]["message"]


async def test_parameters_that_nobody_knows_are_ignored_and_known_ones_come_once(api: Api) -> None:
    await api.get(SESSIONS + "?return=/api&limit=1&nonsense=1&=x")
    answer = await api.get(SESSIONS + "?limit=1&limit=2", status=400)
    assert answer["error"]["details"] == {"field": "limit"}


async def test_fields_are_nested_and_a_name_may_stand_for_several(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, sensor, client_ip="10.0.0.1", client_port=7, user="root", protocol="rdp")])
    (item,) = (await api.get(ours(sensor, fields="client, user.name,active")))["items"]
    assert item["body"] == {
        "active": False,
        "client": {"ip": "10.0.0.1", "name": "10.0.0.1", "port": 7},
        "user": {"name": "root"},
    }
    answer = await api.get(ours(sensor, fields="*"))
    assert answer["meta"]["fields"] == ["*"]
    assert answer["items"][0]["body"]["protocol"] == "RDP"


async def test_every_property_can_be_shown_sorted_by_and_asked_for(api: Api, store: Store, sensor: str) -> None:
    """Each name that a living client knows (sps-facts 1.7); what no sensor reports is null and found by nothing."""
    store.sessions([session(sensor, sensor)])
    for start in range(0, len(SESSION.fields), 25):
        names = list(SESSION.fields)[start : start + 25]
        found = (await api.get(ours(sensor, fields=",".join(names), sort=",".join(names))))["items"]
        assert len(found) == 1
        for name in names:
            value = found[0]["body"]
            for step in name.split("."):
                if name.startswith("recording.audit_trail"):
                    break
                value = value[step]
            if not SESSION.fields[name].listed and SESSION.fields[name].nullable:
                assert value is None, name
    asked = [f"{name}:*" for name in SESSION.fields]
    for start in range(0, len(asked), 25):
        some = " OR ".join(asked[start : start + 25])
        await api.get(SESSIONS + "/_count" + query(q=f"recording.connection_policy:{sensor} AND ({some})"))


async def test_an_ipv6_address_is_found_in_any_spelling(api: Api, store: Store, sensor: str) -> None:
    stored = ("2001:db8::1", "2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::2")
    store.sessions([session(sensor, f"{sensor}.{n}", client_ip=address) for n, address in enumerate(stored)])
    for asked in (
        'client.ip:"2001:db8::1"',
        'client.ip:"2001:DB8:0:0::1"',
        r"client.ip:2001\:db8\:0\:\:1",
        '"2001:DB8::0001"',
    ):
        found = await api.get(SESSIONS + query(q=f"recording.connection_policy:{sensor} AND {asked}"))
        assert sorted(keys(found)) == [f"{sensor}.0", f"{sensor}.1"], asked


async def test_sort_takes_several_properties_and_missing_values_come_last(api: Api, store: Store, sensor: str) -> None:
    rows = [("a", "ssh", 3.0), ("b", "ssh", 1.0), ("c", "rdp", 2.0), ("d", "ssh", None)]
    store.sessions([session(sensor, f"{sensor}.{key}", protocol=p, duration=d) for key, p, d in rows])

    async def order(sort: str) -> str:
        return "".join(key[-1] for key in keys(await api.get(ours(sensor, sort=sort))))

    assert await order("protocol,duration") == "cbad"
    assert await order("-protocol,-duration") == "abdc"
    assert (await order("duration"))[-1] == "d"


async def test_what_is_not_known_is_null_and_found_by_not(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, f"{sensor}.0"), session(sensor, f"{sensor}.1", client_port=22, user="eve")])
    mine = f"recording.connection_policy:{sensor}"
    for asked, found in (
        ("client.port:*", ["1"]),
        ("NOT client.port:*", ["0"]),
        ("NOT client.port:22", ["0"]),
        ("client.port:[* TO 1000]", ["1"]),
        ("client.port:0", []),
        ("user.name:EVE", ["1"]),
        ('user.name:""', ["0"]),
        ("NOT user.name:*", ["0"]),
        ("vault.account_name:x", []),
        ("NOT vault.account_name:x", ["1", "0"]),
        ("active:false AND hidden:FALSE", ["1", "0"]),
        ("eve", ["1"]),
        ("ev?", ["1"]),
        ("ev", []),
    ):
        answer = await api.get(SESSIONS + query(q=f"{mine} AND ({asked})", sort="-client.port"))
        assert [key[-1] for key in keys(answer)] == found, asked
    (item,) = (await api.get(SESSIONS + query(q=f"{mine} AND NOT client.port:*", fields="client.port")))["items"]
    assert item["body"] == {"client": {"port": None}}


async def test_start_and_end_are_iso_8601_in_any_zone(api: Api, store: Store, sensor: str) -> None:
    store.sessions(
        [
            session(sensor, f"{sensor}.early", started_at=moment("2017-01-25T09:59:59"), ended_at=None, state="open"),
            session(
                sensor,
                f"{sensor}.late",
                started_at=moment("2017-01-25T10:00:00"),
                ended_at=moment("2017-01-25T11:00:00"),
            ),
        ]
    )
    for start in ("2017-01-25T10:00", "2017-01-25T10:00:00.0000000+00:00", "2017-01-25T11:00:00+01:00"):
        assert keys(await api.get(ours(sensor, start=start))) == [f"{sensor}.late"], start
    assert len(keys(await api.get(ours(sensor, start="2017-01-25")))) == 2
    # A plus that was sent as it is arrives as a space.
    bare = ours(sensor) + "&start=2017-01-25T11:00:00+01:00"
    assert keys(await api.get(bare)) == [f"{sensor}.late"]
    assert keys(await api.get(ours(sensor, end="2017-01-25T11:00:00.000001"))) == [f"{sensor}.late"]
    # Only sessions that ended before.
    assert keys(await api.get(ours(sensor, end="2017-01-25T11:00:00"))) == []


async def test_content_finds_sessions_by_what_was_seen_in_them(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, f"{sensor}.{n}") for n in range(3)])
    commands(store, sensor, f"{sensor}.0", ["$ sudo id", f"$ rm {sensor}"])
    commands(store, sensor, f"{sensor}.1", [f"$ sudo {sensor}"])

    async def found(content: str) -> list[str]:
        return sorted(key[-1] for key in keys(await api.get(ours(sensor, content=content))))

    assert await found(sensor) == ["0", "1"]
    # With bounds only the events near them are looked at: the sessions are of 2018, the events of 2023.
    assert keys(await api.get(ours(sensor, content=sensor, end="2018-09-16"))) == []
    assert len(keys(await api.get(ours(sensor, content=sensor, start="2018-09-15", end="2024-01-01")))) == 2
    # Each word may be in another event of the session.
    assert await found(f"sudo AND {sensor} AND NOT rm") == ["1"]
    assert await found(f'"rm {sensor}"') == ["0"]
    assert await found('command:"sudo id" OR title:nothing') == ["0"]


async def test_count_is_the_number_alone(api: Api, store: Store, sensor: str) -> None:
    many(store, sensor, 7)
    count = SESSIONS + "/_count"
    assert await api.get(count + query(q=f"recording.connection_policy:{sensor}")) == {"count": 7}
    asked = query(q=f"recording.connection_policy:{sensor}", start="2023-11-14T22:13:25")
    assert await api.get(count + asked) == {"count": 2}


async def test_csv_has_a_line_of_names_and_quotes_what_needs_it(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, sensor, user='a "b",\nc', duration=2.0)])
    async with api.http.get(api.base + ours(sensor, format="csv", fields="user.name,duration,end_time,active")) as got:
        assert (got.status, got.content_type) == (200, "text/csv")
        rows = list(csv.reader(io.StringIO((await got.read()).decode(), newline="")))
    assert rows == [
        ["key", "user.name", "duration", "end_time", "active"],
        [sensor, 'a "b",\nc', "2", "2018-09-15T10:53:57+00:00", "false"],
    ]
    assert "Link" not in got.headers
    many(store, f"{sensor}.x", 3)
    seen: list[str] = []
    here = ours(f"{sensor}.x", format="csv", limit=2)
    while here:
        async with api.http.get(api.base + here) as got:
            seen += (await got.text()).splitlines()[1:]
            here = got.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert [key.strip('"')[-1] for key in seen] == ["2", "1", "0"]
    refused = await api.get(ours(sensor, format="csv", fields="nosuch"), status=400)
    assert refused["error"]["details"] == {"field": "fields"}


async def test_stats_are_the_most_frequent_values_and_a_second_property_within(
    api: Api, store: Store, sensor: str
) -> None:
    rows = [("ssh", "root"), ("ssh", "root"), ("ssh", "eve"), ("rdp", "eve"), ("", "eve")]
    store.sessions([session(sensor, f"{sensor}.{n}", protocol=p, user=u) for n, (p, u) in enumerate(rows)])
    stats, mine = SESSIONS + "/stats", f"recording.connection_policy:{sensor}"
    answer = await api.get(stats + query(field="protocol", q=mine, sub_fields="user.name"))
    within = [{"value": "root", "count": 2}, {"value": "eve", "count": 1}]
    assert answer == {
        "body": {
            "field": "protocol",
            "buckets": [
                {"value": "SSH", "count": 3, "buckets": within},
                {"value": "RDP", "count": 1, "buckets": [{"value": "eve", "count": 1}]},
            ],
        },
        "key": "stats",
        "meta": {"href": stats, "parent": SESSIONS},
    }
    one = await api.get(stats + query(field="user.name", q=mine, size=1))
    assert one["body"]["buckets"] == [{"value": "eve", "count": 3}]
    for asked, field in (
        ({}, "field"),
        ({"field": "x"}, "field"),
        ({"field": "active", "sub_fields": "x"}, "sub_fields"),
    ):
        refused = await api.get(stats + query(**asked), status=400)
        assert refused["error"]["details"] == {"field": field}


async def test_a_histogram_counts_along_times_and_numbers(api: Api, store: Store, sensor: str) -> None:
    starts = ("2018-09-15T10:00:00", "2018-09-15T10:59:59.9", "2018-09-15T12:00:00")
    store.sessions(
        [session(sensor, f"{sensor}.{n}", started_at=moment(s), duration=n * 40.0) for n, s in enumerate(starts)]
    )
    histogram, mine = SESSIONS + "/histogram", f"recording.connection_policy:{sensor}"

    async def bins(**asked: Any) -> list[tuple[Any, int]]:
        body = (await api.get(histogram + query(q=mine, **asked)))["body"]
        return [(bucket["value"], bucket["count"]) for bucket in body["buckets"]]

    hours = [("2018-09-15T10:00:00+00:00", 2), ("2018-09-15T12:00:00+00:00", 1)]
    assert await bins(field="start_time") == await bins(field="start_time", bin_size="hour") == hours
    assert await bins(field="start_time", bin_size="month") == [("2018-09-01T00:00:00+00:00", 3)]
    assert await bins(field="duration", bin_size=60) == [(0, 2), (60, 1)]
    assert await bins(field="start_time", start="2018-09-15T11:00") == hours[1:]
    for asked, field in (
        ({}, "field"),
        ({"field": "user.name"}, "field"),
        ({"field": "end_time", "bin_size": "x"}, "bin-size"),
    ):
        refused = await api.get(histogram + query(**asked), status=400)
        assert refused["error"]["details"] == {"field": field}


async def test_every_answer_has_the_headers_of_the_document(api: Api) -> None:
    for asked, status in ((f"{SESSIONS}?limit=1", 200), (f"{SESSIONS}?limit=0", 400), (f"{SESSIONS}/nosuch", 404)):
        async with api.http.get(api.base + asked) as answer:
            assert (answer.status, answer.content_type) == (status, "application/json")
            assert (answer.headers["Allow"], answer.headers["Content-Language"]) == ("GET", "en")
