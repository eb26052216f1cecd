"""Events of a session of SPS, sentence by sentence of its document (reference: sps-session-events.txt), and alerts,
channels and searches beside them (sps-facts 1.6, 1.9)."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from producers.formats import DECODERS, Rejection, Source, decode
from tests.conformance.conftest import Api
from tests.conformance.sps import BEGIN, api, commands, path, query, session
from tests.conformance.store import Store, micros, moment

__all__ = ["api"]

pytestmark = pytest.mark.integration

KEY = "7930f4308efe8aecd710202d815b76ff"
#: The document's sample: action, content behind the prompt, number, time.
SAMPLE = [
    ("ls", "~$ ls", 46, "2017-04-11T09:21:10.832"),
    ("cd", "~$ cd /cd", 64, "2017-04-11T09:21:15.488"),
    ("cat 24hrs.txt", "/var$ cat 24hrs.txt", 78, "2017-04-11T09:21:18.017"),
    ("ls -la", "/var$ ls -la", 95, "2017-04-11T09:21:21.04"),
    ("echo example.txt", "/var$ echo example.txt", 113, "2017-04-11T09:21:23.353"),
    ("ls", "/var$ man sudo", 148, "2017-04-11T09:21:27.017"),
]


async def test_the_sample_comes_back_as_the_document_prints_it(api: Api, store: Store, sensor: str) -> None:
    key = f"{KEY}-{sensor[-8:]}"
    store.sessions([session(sensor, key)])
    row = {"sensor": sensor, "session_id": key, "kind": "command"}
    store.events(
        [
            {
                **row,
                "action": action,
                "content": f"myuser@examplehost:{content}",
                "record_id": str(number),
                "time": moment(time),
                "channel_id": "0",
            }
            for action, content, number, time in reversed(SAMPLE)
        ]
    )
    answer = await api.get(f"{path(key)}/events")
    links = f"/api/audit/sessions/{key}/events?limit=500&offset=0"
    assert answer == {
        "items": [
            {
                "action": action,
                "channels_id": "0",
                "content": f"myuser@examplehost:{content}",
                "record_id": number,
                "time": time,
                "type": "command",
            }
            for action, content, number, time in SAMPLE
        ],
        "meta": {
            "first": links,
            "href": f"/api/audit/sessions/{key}/events",
            "last": links,
            "limit": 500,
            "next": None,
            "offset": 0,
            "parent": f"/api/audit/sessions/{key}",
            "previous": None,
        },
    }


async def test_pages_take_a_limit_above_the_default(api: Api, store: Store, sensor: str) -> None:
    """The document's example: 1012 items, limit 500; the rest from offset 500 on, and limit=1000 (sps-facts 1.10)."""
    store.sessions([session(sensor, sensor)])
    commands(store, sensor, sensor, [f"c{n}" for n in range(1012)])
    events = f"{path(sensor)}/events"
    first = await api.get(events)
    assert (len(first["items"]), first["meta"]["limit"]) == (500, 500)
    assert first["meta"]["last"] == f"{events}?limit=500&offset=1000"
    second = await api.get(first["meta"]["next"])
    third = await api.get(second["meta"]["next"])
    assert [item["record_id"] for item in (*first["items"], *second["items"], *third["items"])] == [*range(1, 1013)]
    assert (third["meta"]["next"], len(third["items"])) == (None, 12)
    large = await api.get(f"{events}?limit=1000")
    assert (len(large["items"]), large["meta"]["limit"]) == (1000, 1000)
    filtered = await api.get(events + query(q="content:c1*", limit=100))
    # 1, 10-19, 100-199, 1000-1011; links repeat q.
    assert "&q=content:c1*" in filtered["meta"]["next"]
    assert len((await api.get(filtered["meta"]["next"]))["items"]) == 23


CONTENTS = [
    "user@host:~$ sudo id",
    "user@host:~$ ls -l | cp a b",
    "user@host:~$ ls; cp x; mv y",
    "user@host:/var$ RM -rf /tmp/form",
    "user@host:~$ xdmidecode",
    "user@host:~$ echo Copying  Files",
    "user@host:~$ copying some files",
    "grüße_und mehr 100% C:\\Windows\\x",
]


#: A channel for each of them.
CHANNEL_OF = (1, 2, 3, 5, 4, 6, 7, 8)

#: Query to the numbers of the events that it finds.
FOUND: dict[str, set[int]] = {
    # Every query of the document.
    "content:sudo": {1},
    'content:\\"Copying Files\\"': {6},
    "content:ls AND content:cp AND NOT content:mv": {2},
    "(content:rm OR content:mv) AND channels_id:5": {4},
    "content:(sudo rm)": {1, 4},
    "content:?dmi*": {5},
    "channels_id:{1 TO 3}": {2},
    "channels_id:[* TO 5]": {1, 2, 3, 4, 5},
    # What it says beside them.
    "channels_id:[1 TO 3]": {1, 2, 3},
    "channels_id:[1 TO 3}": {1, 2},
    "channels_id:{1 TO 3]": {2, 3},
    "channels_id:[6 TO *]": {6, 7, 8},
    "channels_id:{* TO *}": {1, 2, 3, 4, 5, 6, 7, 8},
    "channels_id:[5 TO 1]": set(),
    "channels_id:4": {5},
    "record_id:[2 TO 3] OR record_id:8": {2, 3, 8},
    "type:command": {1, 2, 3, 4, 5, 6, 7, 8},
    "type:COMMAND AND NOT type:screen.content": {1, 2, 3, 4, 5, 6, 7, 8},
    "type:comm*": {1, 2, 3, 4, 5, 6, 7, 8},
    "type:(screen.content screen.creditcard screen.windowtitle)": set(),
    "time:2023-11-14T22\\:13*": {1, 2, 3, 4, 5, 6, 7, 8},
    "time:2023-11-14T22:13:21": {1},
    'time:"2023-11-14T22:13:22"': {2},
    # Words without case, not parts of words.
    "content:RM": {4},
    "content:form": {4},
    "content:for": set(),
    "content:for?": {4},
    "content:f*m": {4},
    "content:dmi": set(),
    "content:*dmi*": {5},
    "content:files": {6, 7},
    'content:"copying files"': {6},
    'content:"cop* files"': set(),
    "content:\\/tmp": {4},
    'content:"/tmp/form"': {4},
    "content:-rf": {1, 2, 3, 5, 6, 7, 8},
    "content:\\-rf": {4},
    "content:grüße_und": {8},
    "content:GRÜSSE_und": set(),
    "content:GRÜßE_UND": {8},
    "content:100%": {8},
    "content:C\\:\\\\Windows": {8},
    'content:"C:\\\\windows"': {8},
    "content:*": {1, 2, 3, 4, 5, 6, 7, 8},
    'content:""': set(),
    # A term without a property is looked for in the content; terms side by side are alternatives.
    "sudo": {1},
    "sudo xdmidecode": {1, 5},
    "+ls +mv": {3},
    "ls -mv": {2},
    "NOT (ls OR copying)": {1, 4, 5, 8},
    "action:nothing": set(),
}


async def test_events_are_filtered_by_the_query_language(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, sensor)])
    for n, (content, channel) in enumerate(zip(CONTENTS, CHANNEL_OF, strict=True), 1):
        row = {"sensor": sensor, "session_id": sensor, "kind": "command", "record_id": str(n)}
        time = micros(1_700_000_000_000_000 + n * 1_000_000)
        store.events([{**row, "time": time, "content": content, "channel_id": str(channel)}])
    found = {}
    for asked in FOUND:
        items = (await api.get(f"{path(sensor)}/events" + query(q=asked)))["items"]
        found[asked] = {item["record_id"] for item in items}
    assert found == FOUND


async def test_types_are_those_of_the_document(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, sensor)])
    kinds = ["connect", "command", "upload", "download", "http_request", "terminal", "window_title", "close"]
    row = {"sensor": sensor, "session_id": sensor, "content": "x"}
    store.events([{**row, "kind": kind, "time": micros(n * 1_000_000)} for n, kind in enumerate(kinds)])
    items = (await api.get(f"{path(sensor)}/events"))["items"]
    assert [(item["type"], item["record_id"]) for item in items] == [
        # Numbered in the order of all events of the session.
        ("command", 2),
        ("file_transfer", 3),
        ("file_transfer", 4),
        ("http_request", 5),
        ("screen.content", 6),
        ("window_title", 7),
    ]
    for spelling in ("window_title", "screen.windowtitle"):
        (title,) = (await api.get(f"{path(sensor)}/events" + query(q=f"type:{spelling}")))["items"]
        assert title["type"] == "window_title"


async def test_sessions_without_an_id_of_their_own_have_the_events_between_their_ends(
    api: Api, store: Store, sensor: str
) -> None:
    ends = {"client_ip": "10.0.0.1", "client_port": 5000, "server_ip": "10.0.0.2", "server_port": 22}
    key = msgspec.json.encode([sensor, "ssh", "10.0.0.1:5000", "10.0.0.2:22"]).decode()
    device = "AA:BB:CC:" + ":".join(sensor[-6:][n : n + 2] for n in (0, 2, 4))
    times = {"started_at": micros(10_000_000), "ended_at": micros(20_000_000), "last_activity_at": micros(20_000_000)}
    mac_key = msgspec.json.encode([device.lower().replace(":", "")]).decode()
    store.sessions(
        [
            {**session(sensor, f"{sensor}.ends"), "key": key, **ends, **times},
            {**session(sensor, f"{sensor}.device"), "key": mac_key, "mac": device, **times},
        ]
    )
    rows = [
        {"sensor": sensor, "kind": "command", "time": micros(s * 1_000_000), "data": str(s)} for s in (9, 10, 20, 21)
    ]
    store.events([{**row, **ends} for row in rows])
    store.events([{**row, "mac": device} for row in rows])
    store.events([{**rows[1], **ends, "session_id": "another"}, {**rows[1], **ends, "client_port": 5001}])
    for which in ("ends", "device"):
        items = (await api.get(f"{path(f'{sensor}.{which}')}/events"))["items"]
        assert [item["content"] for item in items] == ["10", "20"], which


async def test_alerts_name_the_rule_and_what_it_found(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, sensor)])
    rules = [{"rule": "PatternMatcherRule", "regex": "su.o"}, {"rule": "another", "regex": "id$"}]
    alert = {"action": "sudo id", "alerts": rules, "channel_id": "3"}
    commands(store, sensor, sensor, ["$ sudo id"], **alert)
    commands(store, sensor, sensor, ["-", "$ ls"])
    answer = await api.get(f"{path(sensor)}/alerts")
    item = {
        "alert_type": "adp.event.command",
        "channel_id": "3",
        "matched_action": "sudo id",
        "matched_content": "$ sudo id",
        "record_id": 1,
        "time": "2023-11-14T22:13:21",
    }
    named = sorted(answer["items"], key=lambda found: str(found["rule_name"]))
    assert named == [
        {**item, "matched_regexp": "su.o", "rule_name": "PatternMatcherRule"},
        {**item, "matched_regexp": "id$", "rule_name": "another"},
    ]
    assert answer["meta"]["href"] == f"{path(sensor)}/alerts" and "match_count" not in answer["meta"]
    assert len((await api.get(f"{path(sensor)}/alerts" + query(q="content:ls")))["items"]) == 0


async def test_a_search_of_the_content_needs_words(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, sensor)])
    commands(store, sensor, sensor, ["$ sudo su", "$ ls", "settings of sudo"])
    store.events(
        [{"sensor": sensor, "session_id": sensor, "kind": "window_title", "data": "Settings", "record_id": "9"}]
    )

    async def found(asked: str, status: int = 200) -> Any:
        for slash in ("", "/"):
            answer = await api.get(f"{path(sensor)}/content{slash}{asked}", status=status)
        return [item["record_id"] for item in answer["items"]] if status == 200 else answer["error"]

    assert await found("") == await found("?q=") == await found("?q=%20") == []
    assert await found(query(q="sudo")) == [1, 3]
    assert await found(query(q='command:"sudo su"')) == [1]
    assert await found(query(q="title:settings")) == [9]
    assert await found(query(q="settings AND NOT sudo")) == [9]
    assert await found(query(q="+sudo su")) == [1, 3]
    assert (await found(query(q="*udo"), 400))["details"] == {"field": "q"}
    assert "fuzzy" in (await found(query(q="sudo~"), 400))["message"]


async def test_how_it_was_taken_in_has_three_spellings(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, sensor)])
    commands(store, sensor, sensor, ["a"], ingested_at="2026-01-01 00:00:01.000")
    commands(store, sensor, sensor, ["b"], ingested_at="2026-01-01 00:00:03.500")
    answers = [await api.get(f"{path(sensor)}/{name}") for name in ("indexing", "indexer", "indexers")]
    assert answers[0] == answers[1] == answers[2]
    (item,) = answers[0]["items"]
    assert item["status"] == "COMPLETED"
    assert item["statistics"] == {"cpu_time": None, "duration": 2500, "start_time": 1767225601000}
    assert item["config"].keys() == {
        "command",
        "keyboard",
        "mouse",
        "near_realtime",
        "ocr_languages",
        "screen",
        "title",
    }
    assert item["config"]["screen"]["omnipage_trade_off"] == "TO_ACCURATE"
    assert item["version"].keys() == {"adp", "worker"}
    assert answers[0]["meta"]["match_count"] == 1


RECORDING = Path(__file__).parents[2] / "deploy" / "demo" / "cowrie-live.json"
#: Channels of the recording's sessions in file order.
CHANNELS = [
    [],
    [("0", "session shell")],
    [("0", "session exec")],
    [("0", "local forward")],
    [],
    [("0", "telnet")],
    [("0", "session shell")],
    [("0", "session shell")],
]


def recorded(sensor: str) -> list[dict[str, Any]]:
    """Rows of ``events`` that the recording makes, for another sensor and under ids of its own."""
    rows = []
    for offset, line in enumerate(RECORDING.read_bytes().splitlines()):
        line = line.replace(b'"lab-cowrie"', msgspec.json.encode(sensor))
        line = re.sub(rb'"session":"(\w+)"', rb'"session":"' + sensor.encode() + rb'.\1"', line)
        found = decode(DECODERS["cowrie"], line, offset, 0, Source("e", "sensor.native.cowrie", 0))
        assert not isinstance(found, Rejection)
        row = msgspec.json.decode(msgspec.json.encode(found[0].event))
        row["details"] = bytes(found[0].event.details).decode()
        rows.append({**row, **{name: micros(row[name]) for name in ("time", "started", "ended") if row.get(name)}})
    return rows


async def test_channels_are_those_of_the_recording(api: Api, store: Store, sensor: str) -> None:
    rows = recorded(sensor)
    store.events(rows)
    ids = list(dict.fromkeys(row["session_id"] for row in rows))
    protocols = {row["session_id"]: row["protocol"] for row in rows}
    store.sessions([session(sensor, key, protocol=protocols[key]) for key in ids])
    answers = [await api.get(f"{path(key)}/channels") for key in ids]
    types = [[(item["key"], item["body"]["type"]) for item in answer["items"]] for answer in answers]
    assert types == CHANNELS
    shell, exec_, forward = (answers[n]["items"][0] for n in (1, 2, 3))
    assert exec_["body"]["command"] == "id; w"
    assert "command" not in shell["body"]
    assert forward["body"]["connected.address"] == "127.0.0.1" and forward["body"]["connected.port"] == 9
    assert forward["body"]["originator.address"] == "127.0.0.1" and forward["body"]["originator.port"] == 65535
    assert shell["body"]["verdict"] == "accept" and shell["body"]["duration"] == 5
    assert shell["body"]["start_time"].startswith("2026-11-22T01:04:20.95")
    assert shell["meta"] == {"href": f"{path(ids[1])}/channels/0"}
    alone = await api.get(shell["meta"]["href"])
    assert alone["body"] == shell["body"] and alone["meta"]["parent"] == f"{path(ids[1])}/channels"
    await api.get(f"{path(ids[1])}/channels/1", status=404)
    # The events of the shell name it.
    items = (await api.get(f"{path(ids[1])}/events" + query(q="type:command")))["items"]
    assert {item["channels_id"] for item in items} == {"0"} and items[0]["action"] == "uname -a"
    # Five commands, that one was not found, and a download; that the terminal was closed is no content.
    everything = (await api.get(f"{path(ids[1])}/events"))["items"]
    assert [item["type"] for item in everything] == ["command"] * 6 + ["file_transfer"]


async def test_details_that_no_reader_of_json_takes_are_no_obstacle(api: Api, store: Store, sensor: str) -> None:
    store.sessions([session(sensor, sensor, event_count=3)])
    row = {"sensor": sensor, "session_id": sensor, "time": micros(BEGIN), "kind": "forward"}
    nines = "9" * 400
    details = [
        '{"dst_port": 80}',
        '{"x": 1e999, "dst_port": 80}',
        f'{{"dst_port": {nines}}}',
        "no JSON",
        '{"a": "\\ud800"}',
        "[]",
    ]
    store.events([{**row, "details": text} for text in details])
    bodies = [item["body"] for item in (await api.get(f"{path(sensor)}/channels"))["items"]]
    assert [body["type"] for body in bodies] == ["local forward"] * 6
    assert bodies[0]["connected.port"] == 80
