"""Honeytrap's HTTP API, sentence by sentence of its document (reference: honeytrap-http-api.txt)."""

import pytest

from tests.conformance.conftest import Api
from tests.conformance.store import Store, micros, moment

pytestmark = pytest.mark.integration

EXAMPLE = {
    "type": 1,
    "date": "06-04-2013",
    "started": "06-04-2013 01:11:10:32",
    "ended": "06-04-2013 12:11:10:32",
    "token": "43354-57-76767-6767-676334-4343-44334",
    "location": "unknown",
    "hostAddr": "10.78.54.100:7080",
    "localAddr": "43.65.78.2:5000",
    "session_id": "6575-232-4545-232443-55454",
    "container_id": "4343434-43-3434-43434343",
}
STORED = {
    "started": moment("2013-04-06T01:11:10.329999"),
    "ended": moment("2013-04-06T12:11:10.320000"),
    "token": "43354-57-76767-6767-676334-4343-44334",
    "location": "unknown",
    "client_ip": "10.78.54.100",
    "client_port": 7080,
    "server_ip": "43.65.78.2",
    "server_port": 5000,
    "session_id": "6575-232-4545-232443-55454",
    "container_id": "4343434-43-3434-43434343",
}
MEMBERS = [
    "type",
    "sensor",
    "date",
    "started",
    "ended",
    "token",
    "location",
    "category",
    "hostAddr",
    "localAddr",
    "data",
    "details",
    "session_id",
    "container_id",
]
DATA = "=b534sfsds34343wwe3443;43434-4343"


def ours(sensor: str) -> str:
    return f"^{sensor}$"


async def test_the_events_example_comes_back_as_the_document_prints_it(api: Api, store: Store, sensor: str) -> None:
    time = moment("2013-04-06T01:11:10.329999")
    row = {**STORED, "sensor": sensor, "time": time, "kind": "x", "type": 1, "category": "connections", "data": DATA}
    store.events([{**row, "details": '{"extra_data":[]}'}] * 2)
    answer = await api.get(
        "/events", {"response_per_page": 10, "page": 1, "types": [1, 5, 20], "sensors": [ours(sensor)]}
    )
    assert list(answer) == ["response_per_page", "page", "total", "matched", "events"]
    assert (answer["response_per_page"], answer["page"], answer["matched"]) == (10, 1, 2)
    expected = EXAMPLE | {"sensor": sensor, "category": "connections", "data": DATA, "details": {"extra_data": []}}
    assert answer["events"] == [expected, expected]
    assert [list(event) for event in answer["events"]] == [MEMBERS, MEMBERS]


async def test_the_sessions_example_comes_back_as_the_document_prints_it(api: Api, store: Store, sensor: str) -> None:
    times = {"started_at": STORED["started"], "ended_at": STORED["ended"], "last_activity_at": STORED["ended"]}
    row = {name: value for name, value in STORED.items() if name not in ("started", "ended")}
    details = {
        "duration": 39600.0,
        "duration_quality": "exact",
        "end_reason": "disconnect",
        "event_count": 4,
        "user": "root",
    }
    store.sessions([{**row, **times, **details, "sensor": sensor, "protocol": "ssh", "version": 3}])
    asked = {"response_per_page": 10, "page": 1, "types": [6], "sensors": [ours(sensor)]}
    answer = await api.get("/sessions", asked)
    assert list(answer) == ["response_per_page", "page", "total", "matched", "events"]
    (session,) = answer["events"]
    assert list(session) == MEMBERS
    shown = session.pop("details")
    assert session == EXAMPLE | {"type": 6, "sensor": sensor, "category": "ssh", "data": ""}
    assert shown["state"] == "closed" and shown["protocol"] == "ssh" and shown["version"] == 3
    assert {name: shown[name] for name in details} == details


async def test_an_open_session_has_no_end_and_the_code_of_a_connect(api: Api, store: Store, sensor: str) -> None:
    start = moment("2026-01-01T00:00:00")
    base = {"sensor": sensor, "started_at": start, "last_activity_at": start, "session_id": "s"}
    store.sessions([{**base, "state": "open", "protocol": "ssh"}])
    (session,) = (await api.get("/sessions", {"sensors": [ours(sensor)], "types": [5]}))["events"]
    assert (session["type"], session["ended"], session["details"]["duration"]) == (5, "", None)
    assert (await api.get("/sessions", {"sensors": [ours(sensor)], "types": [6]}))["matched"] == 0


async def test_sessions_are_the_latest_version_and_removed_ones_are_hidden(api: Api, store: Store, sensor: str) -> None:
    base = {"sensor": sensor, "started_at": moment("2026-01-01T00:00:00"), "last_activity_at": "2026-01-01 00:00:00"}
    store.sessions([{**base, "session_id": "a", "state": "open"}, {**base, "session_id": "b", "state": "open"}])
    store.sessions([{**base, "session_id": "a", "revision": 2, "version": 2}])
    store.sessions([{**base, "session_id": "b", "revision": 2, "removed": True}])
    for paging in ({}, {"response_per_page": 10}):
        answer = await api.get("/sessions", {"sensors": [ours(sensor)], **paging})
        assert [(s["session_id"], s["details"]["version"], s["type"]) for s in answer["events"]] == [("a", 2, 6)]
        assert answer["total"] == store.number("SELECT count() FROM sessions_current")


@pytest.mark.parametrize("size", [400, 2000])
async def test_a_page_may_have_more_keys_than_one_parameter_of_clickhouse_takes(
    api: Api, store: Store, sensor: str, size: int
) -> None:
    ids = [f"{number:04d}-{'é' * 100}" for number in range(500)]
    rows = [
        {"sensor": sensor, "session_id": one, "started_at": moment(f"2026-01-01T00:{n // 60:02d}:{n % 60:02d}")}
        for n, one in enumerate(ids)
    ]
    store.sessions([{**row, "last_activity_at": row["started_at"]} for row in rows])
    answer = await api.get("/sessions", {"sensors": [ours(sensor)], "page": 1, "response_per_page": size})
    assert [session["session_id"] for session in answer["events"]] == ids[::-1][:size]


async def test_a_session_without_start_is_dated_by_its_end(api: Api, store: Store, sensor: str) -> None:
    end = moment("2026-01-02T03:04:05.679")
    store.sessions([{"sensor": sensor, "session_id": "a", "ended_at": end, "last_activity_at": end}])
    (session,) = (await api.get("/sessions", {"sensors": [ours(sensor)]}))["events"]
    assert (session["started"], session["ended"], session["date"]) == ("", "02-01-2026 03:04:05:67", "02-01-2026")


async def test_all_fields_are_optional_and_without_them_all_events_are_returned(
    api: Api, store: Store, sensor: str
) -> None:
    store.events([{"sensor": sensor, "time": micros(n), "kind": "command"} for n in range(3)])
    stored = store.number("SELECT count() FROM events")
    for body in (None, b"{}"):
        answer = await api.get("/events", body)
        assert list(answer) == ["total", "matched", "events"]
        assert answer["total"] == answer["matched"] == len(answer["events"]) == stored
        assert sum(event["sensor"] == sensor for event in answer["events"]) == 3


@pytest.mark.parametrize("path", ["/events", "/sessions"])
async def test_page_without_response_per_page_is_refused(api: Api, path: str) -> None:
    assert (await api.refused(path, {"page": 1}))["field"] == "response_per_page"


async def test_the_misspelt_name_of_the_product_is_taken_too(api: Api, store: Store, sensor: str) -> None:
    store.events([{"sensor": sensor, "time": micros(n), "kind": "command"} for n in range(3)])
    answer = await api.get("/events", {"responser_per_page": 2, "page": 2, "sensors": [ours(sensor)]})
    assert (answer["response_per_page"], answer["page"], len(answer["events"])) == (2, 2, 1)


async def test_total_counts_what_is_stored_and_matched_what_passes(api: Api, store: Store, sensor: str) -> None:
    store.events([{"sensor": sensor, "time": micros(n), "kind": "command"} for n in range(30)])
    answer = await api.get("/events", {"response_per_page": 4, "sensors": [ours(sensor)]})
    assert answer["total"] == store.number("SELECT count() FROM events")
    assert (answer["matched"], len(answer["events"])) == (30, 4)


KINDS = [("connect", 5), ("close", 6), ("login.success", 51), ("login.failed", 51), ("command", 0), ("logout", 52)]


@pytest.mark.parametrize(
    ("types", "found"),
    [
        ([5], {"connect"}),
        ([51], {"login.success", "login.failed"}),
        ([5, 6], {"connect", "close"}),
        ([0], {"command"}),
        ([99], set()),
        (["connect"], {"connect"}),
        (["^log"], {"login.success", "login.failed", "logout"}),
        (["command", 52], {"command", "logout"}),
        (["."], {kind for kind, _ in KINDS}),
        ([], {kind for kind, _ in KINDS}),
    ],
)
async def test_types_are_codes_or_regexes_on_the_kind(
    api: Api, store: Store, sensor: str, types: list[int | str], found: set[str]
) -> None:
    # The kind is put into data, which the answer shows.
    store.events(
        [{"sensor": sensor, "time": micros(n), "kind": k, "type": c, "data": k} for n, (k, c) in enumerate(KINDS)]
    )
    for path in ("/events", "/events?response_per_page=10"):
        answer = await api.get(path, {"types": types, "sensors": [ours(sensor)]})
        assert {event["data"] for event in answer["events"]} == found
        assert answer["matched"] == len(answer["events"])


@pytest.mark.parametrize(
    ("sensors", "types", "count"),
    [
        (["{}-ssh_1"], [], 2),
        (["^{}-ssh_"], [], 4),
        (["{}-SSH"], [], 0),
        (["(?i){}-SSH"], [], 4),
        (["{}-ssh_1", "{}-ping"], [], 4),
        (["{}-ssh_1", "{}-ping"], [5], 2),
        (["{}-ssh_1|{}-ping"], ["^connect$"], 2),
        (["{}-(ssh_[12]|ping)$"], [6, "connect"], 6),
    ],
)
async def test_within_a_list_or_and_between_the_two_and(
    api: Api, store: Store, sensor: str, sensors: list[str], types: list[int | str], count: int
) -> None:
    store.events(
        [
            {"sensor": f"{sensor}-{name}", "time": micros(1), "kind": kind, "type": code}
            for name in ("ssh_1", "ssh_2", "ping")
            for kind, code in (("connect", 5), ("close", 6))
        ]
    )
    patterns = [text.replace("{}", sensor) for text in sensors]
    answer = await api.get("/events?response_per_page=100", {"sensors": patterns, "types": types})
    assert answer["matched"] == len(answer["events"]) == count


async def test_texts_in_types_match_the_protocol_of_sessions(api: Api, store: Store, sensor: str) -> None:
    base = {"sensor": sensor, "last_activity_at": micros(0)}
    store.sessions([{**base, "session_id": name, "protocol": name} for name in ("ssh", "telnet", "http")])
    answer = await api.get("/sessions", {"sensors": [ours(sensor)], "types": ["^ssh$", "http"]})
    assert {session["session_id"] for session in answer["events"]} == {"ssh", "http"}


async def test_the_same_names_work_in_the_query_string(api: Api, store: Store, sensor: str) -> None:
    store.events([{"sensor": f"{sensor}-{n}", "time": micros(n), "kind": "x", "type": n} for n in range(6)])
    query = f"/events?types=1,5&types=2&sensors={sensor}-[0-2]&sensors={sensor}-5&response_per_page=2&page=2"
    answer = await api.get(query)
    assert (answer["matched"], [event["type"] for event in answer["events"]]) == (3, [1])
    assert (await api.refused("/events?types=1", {"types": [1]}))["field"] == "types"


async def test_times_can_be_had_as_rfc3339(api: Api, store: Store, sensor: str) -> None:
    time = moment("2026-11-22T01:04:19.848253")
    store.events([{"sensor": sensor, "time": time, "kind": "x"}])
    store.sessions(
        [{"sensor": sensor, "session_id": "a", "started_at": time, "last_activity_at": time, "state": "open"}]
    )
    for path in ("/events", "/sessions"):
        (row,) = (await api.get(f"{path}?time_format=rfc3339&sensors={sensor}"))["events"]
        assert (row["date"], row["started"]) == ("2026-11-22", "2026-11-22T01:04:19.848253Z")


@pytest.mark.parametrize("size", [1, 3, 7, 10, 99, 100, 1000])
async def test_page_k_of_n_has_exactly_the_rows_from_k_minus_1_times_n(
    api: Api, store: Store, sensor: str, size: int
) -> None:
    store.events([{"sensor": sensor, "time": micros(n * 10**6), "kind": "x", "type": n} for n in range(100)])
    newest_first = list(range(99, -1, -1))
    pages = sorted({1, 2, 3, 5, 100 // size, 100 // size + 1, 100 // size + 2} - {0})
    for page in pages:
        asked = {"response_per_page": size, "page": page, "sensors": [ours(sensor)]}
        answer = await api.get("/events", asked)
        found = [event["type"] for event in answer["events"]]
        assert found == newest_first[(page - 1) * size : page * size]


@pytest.mark.parametrize("path", ["/events", "/sessions"])
async def test_ties_in_time_are_broken_the_same_way_on_every_page(
    api: Api, store: Store, sensor: str, path: str
) -> None:
    same = micros(5)
    ids = [f"{n:03}" for n in range(60)]
    if path == "/events":
        store.events([{"sensor": sensor, "time": same, "kind": "x", "session_id": name} for name in ids])
    else:
        store.sessions([{"sensor": sensor, "session_id": name, "last_activity_at": same} for name in ids])
    pages = []
    for page in range(1, 10):
        answer = await api.get(path, {"response_per_page": 7, "page": page, "sensors": [ours(sensor)]})
        pages += [row["session_id"] for row in answer["events"]]
    unpaged = [row["session_id"] for row in (await api.get(path, {"sensors": [ours(sensor)]}))["events"]]
    assert pages == unpaged == ids[::-1]


@pytest.mark.parametrize(
    "text", ["(", "a{1001}", r"(a)\1", "(?=a)", "[z-a]", "*", r"\8", "(?P<n", r"\xff\q", "a" * 1025, "(" * 1000]
)
@pytest.mark.parametrize("field", ["types", "sensors"])
@pytest.mark.parametrize(
    "path", ["/events", "/sessions", "/events?response_per_page=1", "/sessions?response_per_page=1"]
)
async def test_an_invalid_regex_is_refused_by_the_name_of_its_field(api: Api, path: str, field: str, text: str) -> None:
    # One name that no sensor has: the regex is refused although there is no row to match it with.
    body = {"sensors": ["no such sensor"]} | {field: [text] if field == "types" else ["no such sensor", text]}
    assert (await api.refused(path, body))["field"] == field


@pytest.mark.parametrize(
    "text", ["", "\0", "a\0b", "'", "\\\\", "é☃", "\n", "\t", "{p0:String}", "%", "--", '`"', "a" * 900]
)
async def test_odd_regexes_are_taken_as_they_stand(api: Api, store: Store, sensor: str, text: str) -> None:
    plain = text.replace("\\\\", "\\")
    store.events([{"sensor": f"{sensor} {plain}", "time": micros(1), "kind": plain}])
    answer = await api.get("/events", {"sensors": [f"{sensor} {text}"], "types": [text], "response_per_page": 5})
    assert [event["sensor"] for event in answer["events"]] == [f"{sensor} {plain}"]


async def test_a_hundred_long_regexes_are_taken(api: Api, store: Store, sensor: str) -> None:
    store.events([{"sensor": sensor, "time": micros(1), "kind": "command"}])
    patterns = ["☃" * 1000 + str(n) for n in range(99)]
    body = {"sensors": [*patterns, ours(sensor)], "types": [*patterns, "command"]}
    assert (await api.get("/events", body))["matched"] == 1


async def test_text_of_sensors_comes_back_unchanged(api: Api, store: Store, sensor: str) -> None:
    data = "".join(map(chr, range(1, 0x300))) + "\u2028☃😀/</script>"
    details = '{"a": [1, 2.50, null],\r\n "b": "x/y"}'
    store.events([{"sensor": sensor, "time": micros(1), "kind": "x", "data": data, "details": details}] * 2)
    for paging in ("", "&response_per_page=5"):
        answer = await api.get(f"/events?sensors={sensor}{paging}")
        assert [event["data"] for event in answer["events"]] == [data, data]
        assert answer["events"][0]["details"] == {"a": [1, 2.5, None], "b": "x/y"}


@pytest.mark.parametrize(
    ("details", "shown"),
    [("", {}), ("no json", {"text": "no json"}), ("[1]", {"text": "[1]"}), ('{"a":', {"text": '{"a":'})],
)
async def test_details_are_an_object_whatever_is_stored(
    api: Api, store: Store, sensor: str, details: str, shown: dict[str, str]
) -> None:
    store.events([{"sensor": sensor, "time": micros(1), "kind": "x", "details": details}])
    assert (await api.get(f"/events?sensors={sensor}"))["events"][0]["details"] == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ({"client_ip": "::1", "client_port": 22}, "[::1]:22"),
        ({"client_ip": "::1"}, "::1"),
        ({"client_ip": "192.0.2.1"}, "192.0.2.1"),
        ({"client_port": 22}, ""),
        ({}, ""),
    ],
)
async def test_addresses_have_a_port_where_it_is_known(
    api: Api, store: Store, sensor: str, address: dict[str, str | int], shown: str
) -> None:
    store.events([{"sensor": sensor, "time": micros(1), "kind": "x", **address}])
    assert (await api.get(f"/events?sensors={sensor}"))["events"][0]["hostAddr"] == shown
