"""Fudo's API v2, reading: sentence by sentence of its document and of the facts beside it."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
import pytest

from schemas.settings import Fudo as FudoSettings
from schemas.settings import Settings
from tests.conformance.conftest import Apis
from tests.conformance.fudo import EXAMPLE_ROW, MODIFIED, Fudo, numbered, started
from tests.conformance.store import Store, moment

pytestmark = pytest.mark.integration

MODEL = [
    "id",
    "leader_session_id",
    "account_id",
    "listener_id",
    "safe_id",
    "server_id",
    "user_id",
    "started_at",
    "finished_at",
    "handled_by",
    "marked_safe_by",
    "terminate_at",
    "dump_mode",
    "protocol",
    "source_ip",
    "source_port",
    "destination_ip",
    "destination_port",
    "paused",
    "retention_locked",
    "indexed",
    "trusted_timestamp",
    "size",
    "reason",
    "status",
    "active_time",
    "ml",
    "pending_delete",
    "password_change",
    "checkout_forced",
    "created_at",
    "modified_at",
    "removed",
    "login_reason",
    "bits_per_pixel",
    "height",
    "width",
    "command",
    "type",
    "subsystem",
]
#: What a session has of which nothing but its start is known.
BARE = [
    "id",
    "leader_session_id",
    "listener_id",
    "started_at",
    "dump_mode",
    "protocol",
    "paused",
    "retention_locked",
    "indexed",
    "status",
    "active_time",
    "password_change",
    "checkout_forced",
    "created_at",
    "modified_at",
]


@pytest.fixture
async def fudo(apis: Apis, settings: Settings) -> Fudo:
    return await started(apis, settings)


async def test_the_example_comes_back_as_the_document_prints_it(
    apis: Apis, settings: Settings, store: Store, sensor: str
) -> None:
    fudo = await started(apis, msgspec.structs.replace(settings, fudo=FudoSettings(timezone="Europe/Warsaw")))
    store.sessions([EXAMPLE_ROW])
    event = {
        "sensor": EXAMPLE_ROW["sensor"],
        "session_id": EXAMPLE_ROW["session_id"],
        "time": EXAMPLE_ROW["started_at"],
    }
    modified = MODIFIED.astimezone(ZoneInfo("Europe/Warsaw"))
    hours = (modified.utcoffset() or timedelta()) // timedelta(hours=1)
    if not store.number(f"SELECT count() FROM events WHERE session_id = '{EXAMPLE_ROW['session_id']}'"):  # noqa: S608
        store.events([{**event, "data": "x" * 371_000, "content": "y" * 710, "details": "{}"}])
    answer = await fudo.get("/session/3927138875067084301")
    assert answer == {
        "result": "success",
        "session": {
            "id": "3927138875067084301",
            "leader_session_id": "3927138875067084301",
            "listener_id": "3927138875067073099",
            "user_id": "3927138875067072685",
            "safe_id": "3927138875067072584",
            "account_id": "3927138875067088645",
            "server_id": "3927138875067072586",
            "started_at": "2022-04-05 16:06:07.313862+02",
            "finished_at": "2022-04-05 16:07:58.65701+02",
            "dump_mode": "all",
            "protocol": "vnc",
            "source_ip": "10.2.0.0",
            "source_port": 65331,
            "destination_ip": "10.0.0.1",
            "destination_port": 5900,
            "paused": False,
            "retention_locked": False,
            "indexed": 2,
            "size": 371712,
            "status": "approved",
            "active_time": 60,
            "password_change": False,
            "checkout_forced": False,
            "created_at": "2022-04-05 16:06:07.316523+02",
            "modified_at": f"{modified:%Y-%m-%d %H}:16:02.009606+{hours:02d}",
            "height": "768",
            "width": "1024",
        },
    }


async def test_the_canonical_url_chooses_filters_orders_limits_and_counts(
    fudo: Fudo, store: Store, sensor: str
) -> None:
    numbered(store, sensor, {f"{n:02d}": {"user": "user" if n % 2 else "admin"} for n in range(30)})
    answer = await fudo.get(
        f"/session?fields=id,user_id&filter=user_id.eq(user),listener_id.eq({sensor})&order=id&limit=10&total_count"
    )
    assert list(answer) == ["result", "total_count", "session"]
    assert answer["total_count"] == 15
    assert answer["session"] == [{"id": f"{n:02d}", "user_id": "user"} for n in range(1, 21, 2)]


async def test_without_parameters_everything_is_listed_newest_first(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {"a": {}, "b": {}, "c": {}})
    answer = await fudo.get("/session")
    assert list(answer) == ["result", "session"]
    assert [one["id"] for one in answer["session"] if one["listener_id"] == sensor] == ["c", "b", "a"]
    assert len(answer["session"]) == store.number("SELECT count() FROM sessions_current")


async def test_null_attributes_are_left_out_unless_they_are_asked_for(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-bare": {}})
    path = f"/session/{sensor}-bare"
    (bare,) = (await fudo.get(f"/session?filter=listener_id.eq({sensor})"))["session"]
    assert sorted(bare) == sorted(BARE)
    whole = (await fudo.get(f"{path}?fields={','.join(MODEL)}"))["session"]
    assert list(whole) == MODEL
    for name in MODEL:
        assert (whole[name] is None) == (name not in bare and name not in ("pending_delete", "removed")), name
    assert (whole["pending_delete"], whole["removed"]) == (False, False)


async def test_fields_empty_is_the_id_alone_and_duplicates_are_ignored(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-1": {}})
    assert (await fudo.get(f"/session/{sensor}-1?fields="))["session"] == {"id": f"{sensor}-1"}
    answer = await fudo.get(f"/session/{sensor}-1?fields=status,id,status")
    assert answer["session"] == {"status": "approved", "id": f"{sensor}-1"}


async def test_times_have_no_zeros_at_the_end_and_the_zone_in_hours(
    apis: Apis, settings: Settings, store: Store, sensor: str
) -> None:
    whole, half = moment("2025-05-14T12:11:00"), moment("2025-01-14T12:11:00.5")
    numbered(store, sensor, {f"{sensor}-1": {"started_at": whole, "ended_at": half, "last_activity_at": whole}})
    for zone, begun, finished in (
        ("UTC", "2025-05-14 12:11:00+00", "2025-01-14 12:11:00.5+00"),
        ("America/Los_Angeles", "2025-05-14 05:11:00-07", "2025-01-14 04:11:00.5-08"),
        ("Asia/Kolkata", "2025-05-14 17:41:00+05:30", "2025-01-14 17:41:00.5+05:30"),
    ):
        fudo = await started(apis, msgspec.structs.replace(settings, fudo=FudoSettings(timezone=zone)))
        answer = await fudo.get(f"/session/{sensor}-1?fields=started_at,finished_at")
        assert answer["session"] == {"started_at": begun, "finished_at": finished}
        for text in (begun, begun.replace(" ", "T")):
            assert await fudo.ids(sensor, f"started_at.eq({text})") == [f"{sensor}-1"]


async def test_ids_are_opaque_strings(fudo: Fudo, store: Store, sensor: str) -> None:
    odd = ["9223372036854775808", "a/b c", "ä%2F?#&", "00:11:22:33:44:55 0"]
    numbered(store, sensor, {f"{sensor} {name}": {} for name in odd})
    for name in odd:
        answer = await fudo.get(f"/session/{quote(f'{sensor} {name}', safe='')}")
        assert answer["session"]["id"] == f"{sensor} {name}"


async def test_an_unknown_id_is_answered_object_not_found(fudo: Fudo) -> None:
    assert await fudo.refused("/session/41234678819172646916", status=404) == "Object not found"


async def test_of_two_sensors_with_one_id_the_newest_session_answers(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, f"{sensor}-old", {f"{sensor}-same": {}})
    numbered(store, f"{sensor}-new", {"before": {}, f"{sensor}-same": {}})
    assert (await fudo.get(f"/session/{sensor}-same"))["session"]["listener_id"] == f"{sensor}-new"


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("protocol.in(ssh,rdp,vnc)", ["a", "b"]),
        ("protocol.iin(SSH,Rdp)", ["a", "b"]),
        ("protocol.eq(ssh)", ["a"]),
        ("protocol.ne(ssh)", ["b", "c", "d"]),
        ("protocol.match(dp)", ["b"]),
        ("protocol.match(DP)", []),
        ("source_port.lt(1000)", ["a"]),
        ("source_port.le(1000)", ["a", "b"]),
        ("source_port.gt(1000)", ["c"]),
        ("source_port.ge(1000)", ["b", "c"]),
        ("source_port.ge(999.5)", ["b", "c"]),
        ("source_port.in(1000,2000)", ["b", "c"]),
        ("source_port.ne(1000)", ["a", "c", "d"]),
        ("started_at.lt(2026-03-01 10:02:00+00)", ["a", "b"]),
        ("started_at.le(2026-03-01 10:02:00)", ["a", "b", "c"]),
        ("started_at.gt(2026-03-01T11:01:00%2B01:00)", ["c", "d"]),
        ("started_at.gt(2026-03-01 11:01:00+01)", ["c", "d"]),
        ("started_at.ge(2026-03-01 10:03)", ["d"]),
        ("started_at.ge(2026-03-02)", []),
        ("started_at.in(2026-03-01 10:00:00,2026-03-01 10:03:00)", ["a", "d"]),
        ("paused.eq(true)", ["b"]),
        ("paused.ne(true)", ["a", "c", "d"]),
        ("paused.in(true,false)", ["a", "b", "c", "d"]),
        ("blocked", ["b"]),
        ("!blocked", ["a", "c", "d"]),
        ("!blocked(),blocked()", []),
        ("user_id.isnull()", ["c", "d"]),
        ("user_id.isempty()", ["c", "d"]),
        ("user.isnull()", ["c", "d"]),
        ("server.isnull()", ["a", "b", "c", "d"]),
        ("paused.isnull()", []),
        ("source_port.isnull()", ["d"]),
        ("finished_at.isnull()", ["a", "b", "c", "d"]),
        ("user_id.ne(root)", ["b", "c", "d"]),
        ('user_id.eq("a,(b) \\"c\\" \\\\")', ["b"]),
        ("user_id.eq()", None),
        ('user_id.eq("")', []),
        ('user_id.in("",root)', ["a"]),
        ("user_id.in( root , nobody )", ["a"]),
        ("user_id.gt(b)", ["a"]),
        ("id.in(a,d)", ["a", "d"]),
        ("status.eq(approved),protocol.eq(rdp), source_port.gt(1)", ["b"]),
        ("source_ip.match(0.0.1)", ["a"]),
        ("reason.isnull()", ["a", "b", "c", "d"]),
        ("protocol_raw.eq(irc)", ["c"]),
        ("protocol.eq(tcp)", ["c"]),
        ("protocol.eq(system)", ["d"]),
        ("active_time.ge(0)", ["a", "b", "c", "d"]),
    ],
)
async def test_operators(fudo: Fudo, store: Store, sensor: str, filter: str, expected: list[str] | None) -> None:
    numbered(
        store,
        sensor,
        {
            "a": {"protocol": "ssh", "client_port": 999, "user": "root", "client_ip": "10.0.0.1"},
            "b": {"protocol": "rdp", "client_port": 1000, "user": 'a,(b) "c" \\', "paused": True},
            "c": {"protocol": "irc", "client_port": 2000},
            "d": {},
        },
    )
    if expected is None:
        assert "0 values" in await fudo.refused(f"/session?filter={quote(filter)}")
        return
    assert await fudo.ids(sensor, filter.replace("%2B", "+")) == expected


async def test_a_plus_that_was_not_encoded_is_the_zone_all_the_same(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {"a": {}, "b": {}})
    answer = await fudo.get(f"/session?filter=listener_id.eq({sensor}),started_at.gt(2026-03-01%2011:00:00+01)")
    assert [one["id"] for one in answer["session"]] == ["b"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("filter=colour.eq(1)", "no attribute colour"),
        ("filter=id.like(1)", "no operator like; known are in, iin, match"),
        ("filter=id", "character 3 (its end)"),
        ("filter=", "character 1"),
        ("filter=id.eq(1", "character 8"),
        ("filter=id.eq(1))", "character 9"),
        ("filter=id.eq(1),", "character 10"),
        ("filter=id.eq(a(b))", "double quotes"),
        ('filter=id.eq("a)', "double quotes"),
        ("filter=!paused", "!blocked"),
        ("filter=id.eq(1,2)", "2 values, 1 was expected"),
        ("filter=id.isnull(1)", "takes no value"),
        ("filter=id.in()", "at least one value"),
        ("filter=source_port.eq(http)", "source_port.eq() must have a number"),
        ("filter=source_port.gt(1e400)", "must have a number"),
        ("filter=started_at.gt(yesterday)", "2022-04-05 16:06:07.313862+02"),
        ("filter=started_at.gt(9999-12-31)", "1900 to 2299"),
        ("filter=paused.eq(maybe)", "true or false"),
        ("filter=paused.lt(true)", "no order"),
        ("filter=status.gt(approved)", "no order"),
        ("filter=source_ip.lt(10.0.0.1)", "no order"),
        ("filter=source_port.match(2)", "is for texts"),
        ("filter=id.contains(1)", "contains is for arrays"),
        ("filter=user.blocked()", "stand by themselves"),
        ("filter=size.gt(1)", "cannot be filtered"),
        ("filter=ml.isnull()", "cannot be filtered"),
        ("filter=" + ",".join(["id.eq(1)"] * 101), "more than 100 conditions"),
        (f"filter=id.in({','.join(['1'] * 101)})", "more than 100 values"),
        ("filter=id.eq(1)&filter=id.eq(2)", "filter is given twice"),
        ("fields=id,colour", "fields: a session has no attribute colour"),
        ("order=colour", "order: colour is none of id, leader_session_id"),
        ("order=size", "order: size"),
        ("order=", "order:"),
        ("limit=-1", "limit must be an integer from 0"),
        ("limit=ten", "limit must be an integer"),
        ("limit=99999999999999999999999", "limit must be an integer"),
        ("offset=1.5", "offset must be an integer"),
        ("limit=1000000000&offset=1000000000", "together"),
        ("total_count=maybe", "total_count is a flag"),
        ("reveal=everything", "reveal must be active, removed or all"),
        ("colour=red", "no parameter colour here; known are debug, fields, filter"),
        ("fields=size", "size needs a limit"),
    ],
)
async def test_what_cannot_be_meant_is_refused_by_name(fudo: Fudo, query: str, words: str) -> None:
    assert words in await fudo.refused(f"/session?{query}")


async def test_order_limit_and_offset(fudo: Fudo, store: Store, sensor: str) -> None:
    users = ["m", "", "z", "a", "m"]
    numbered(store, sensor, {f"{n}": {"user": user} for n, user in enumerate(users)})
    assert await fudo.ids(sensor, rest="order=user_id") == ["3", "4", "0", "2", "1"]
    assert await fudo.ids(sensor, rest="order=-user_id") == ["2", "4", "0", "3", "1"]
    assert await fudo.ids(sensor, rest="order=user_id,started_at") == ["3", "0", "4", "2", "1"]
    assert await fudo.ids(sensor, rest="order=-started_at&offset=3") == ["1", "0"]
    assert await fudo.ids(sensor, rest="") == ["4", "3", "2", "1", "0"]
    for rest in ("limit=2&offset=2", "order=-started_at&limit=2&offset=2"):
        answer = await fudo.get(f"/session?filter=listener_id.eq({sensor})&{rest}&total_count")
        assert [one["id"] for one in answer["session"]] == ["2", "1"]
        assert answer["total_count"] == 5
    assert (await fudo.get(f"/session?filter=listener_id.eq({sensor})&limit=0&total_count"))["session"] == []


async def test_every_attribute_orders_but_those_that_are_made_for_the_answer(
    fudo: Fudo, store: Store, sensor: str
) -> None:
    numbered(store, sensor, {name: {} for name in "ab"})
    for name in MODEL:
        for order in (name, f"-{name}"):
            if name in ("size", "ml"):
                await fudo.refused(f"/session?order={order}")
            else:
                assert sorted(await fudo.ids(sensor, rest=f"order={order}")) == ["a", "b"], order


async def test_an_ipv6_address_is_found_in_any_spelling(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(
        store,
        sensor,
        {
            "a": {"client_ip": "2001:db8::1", "server_ip": "::ffff:192.0.2.1"},
            "b": {"client_ip": "2001:0db8:0000:0000:0000:0000:0000:0001"},
            "c": {"client_ip": "2001:DB8::2"},
        },
    )
    for asked in ("2001:db8::1", "2001:DB8:0:0::1"):
        assert await fudo.ids(sensor, f"source_ip.eq({asked})") == ["a", "b"]
        assert await fudo.ids(sensor, f"source_ip.ne({asked})") == ["c"]
        assert await fudo.ids(sensor, f"source_ip.in({asked},2001:db8:0::2)") == ["a", "b", "c"]
        assert await fudo.ids(sensor, f"source_ip.iin(10.0.0.1,{asked})") == ["a", "b"]
    assert await fudo.ids(sensor, "destination_ip.eq(::ffff:c000:201)") == ["a"]


@pytest.mark.parametrize("rest", ["", "order=-id", "offset=1", "limit=20000"])
async def test_lists_without_a_limit_or_with_a_long_one_are_streamed(
    fudo: Fudo, store: Store, sensor: str, rest: str
) -> None:
    numbered(store, sensor, {"a": {}, "b": {}, "c": {}})
    answer = await fudo.get(f"/session?filter=listener_id.eq({sensor})&{rest}&total_count&fields=id")
    whole = ["c", "b", "a"]
    assert [one["id"] for one in answer["session"]] == (whole[1:] if "offset" in rest else whole)
    assert answer["total_count"] == 3


@pytest.mark.parametrize("rest", ["", "order=-id", "limit=15000"])
async def test_where_the_setting_cuts_a_list_it_says_where_to_go_on(
    apis: Apis, settings: Settings, store: Store, sensor: str, rest: str
) -> None:
    fudo = await started(apis, settings, unpaged_rows=2)
    numbered(store, sensor, {"a": {}, "b": {}, "c": {}})
    answer = await fudo.get(f"/session?filter=listener_id.eq({sensor})&fields=id&{rest}")
    assert [one["id"] for one in answer["session"]] == ["c", "b"]
    assert answer["next_offset"] == 2
    order = rest if rest.startswith("order") else "order=-started_at"
    answer = await fudo.get(f"/session?filter=listener_id.eq({sensor})&fields=id&{order}&offset={2}")
    assert [one["id"] for one in answer["session"]] == ["a"]
    assert "next_offset" not in answer


async def test_reveal_shows_removed_sessions(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-a": {}, f"{sensor}-b": {"removed": True}, f"{sensor}-c": {"held": True}})
    a, b = f"{sensor}-a", f"{sensor}-b"
    assert await fudo.ids(sensor) == await fudo.ids(sensor, rest="reveal=active") == [a]
    assert await fudo.ids(sensor, rest="reveal=removed") == [b]
    assert await fudo.ids(sensor, rest="reveal=all&order=id") == [a, b]
    await fudo.refused(f"/session/{b}", status=404)
    assert (await fudo.get(f"/session/{b}?reveal=all"))["session"]["removed"] is True
    assert "removed" not in (await fudo.get(f"/session/{a}?reveal=all"))["session"]


async def test_debug_adds_statistics(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {f"{sensor}-1": {}})
    for path in (f"/session/{sensor}-1?debug", "/session?debug&limit=1", "/session?debug"):
        assert (await fudo.get(path))["debug"]["elapsed_ms"] > 0


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"state": "open"}, {"status": "approved", "reason": None}),
        ({"end_reason": "disconnect"}, {"status": "approved", "reason": None}),
        ({"end_reason": "complete"}, {"status": "approved", "reason": None}),
        ({"end_reason": "idle_timeout"}, {"status": "expired", "reason": "idle_timeout"}),
        ({"end_reason": "max_duration"}, {"status": "terminated", "reason": "max_duration"}),
        ({"end_reason": "evicted"}, {"status": "terminated", "reason": "evicted"}),
        ({"end_reason": "superseded"}, {"status": "disconnected", "reason": "superseded"}),
        ({"end_reason": "sensor_restart"}, {"status": "disconnected", "reason": "sensor_restart"}),
        ({"end_reason": "orphan"}, {"status": "disconnected", "reason": "orphan"}),
        ({"end_reason": "orphan", "reason": "by hand"}, {"status": "disconnected", "reason": "by hand"}),
        ({"protocol": "ssh"}, {"protocol": "ssh", "protocol_raw": "ssh"}),
        ({"protocol": "irc", "server_port": 6667}, {"protocol": "tcp", "protocol_raw": "irc"}),
        ({"protocol": "dhcp"}, {"protocol": "system", "protocol_raw": "dhcp"}),
        ({}, {"protocol": "system", "protocol_raw": None}),
        (
            {"server_ip": "2001:db8::1", "server_port": 22},
            {"server_id": "2001:db8::1", "destination_address": "[2001:db8::1]:22"},
        ),
        (
            {"attributes": {"fudo.status": "rejected", "fudo.subsystem": "sftp"}},
            {"status": "rejected", "subsystem": "sftp"},
        ),
        (
            {"attributes": {"fudo.ml_threat_level": "0.5", "fudo.ml_finished_at": "now"}},
            {"ml": {"ml_threat_level": 0.5, "ml_finished_at": "now"}},
        ),
        ({"attributes": {"fudo.ml_threat_level": "high"}}, {"ml": None}),
        (
            {"attributes": {"backup.t": '{"state":"done"}', "backup.bad": "}{"}},
            {"backups": [{"target": "t", "state": "done"}]},
        ),
        ({}, {"backups": []}),
    ],
)
async def test_what_stands_behind_an_attribute(
    fudo: Fudo, store: Store, sensor: str, row: dict[str, Any], shown: dict[str, Any]
) -> None:
    numbered(store, sensor, {f"{sensor}-1": {"state": "closed", **row}})
    answer = await fudo.get(f"/session/{sensor}-1?fields={','.join(shown)}")
    assert answer["session"] == shown
    unasked = (await fudo.get(f"/session/{sensor}-1"))["session"]
    hidden = {"protocol_raw", "destination_address", "backups"}
    assert {name: unasked.get(name) for name in shown} == {n: None if n in hidden else v for n, v in shown.items()}


async def test_size_in_a_list_is_shown_when_asked_for(fudo: Fudo, store: Store, sensor: str) -> None:
    numbered(store, sensor, {"a": {}, "b": {}})
    time = moment("2026-03-01T10:00:00")
    store.events([{"sensor": sensor, "session_id": "a", "time": time, "data": "abc", "details": "{}"}] * 2)
    store.events([{"sensor": f"{sensor}-other", "session_id": "a", "time": time, "data": "abc"}])
    answer = await fudo.get(f"/session?filter=listener_id.eq({sensor})&order=id&limit=5&fields=id,size")
    assert answer["session"] == [{"id": "a", "size": 10}, {"id": "b", "size": None}]
    assert "size" not in (await fudo.get(f"/session?filter=listener_id.eq({sensor})&limit=1"))["session"][0]


async def test_objspec_names_every_attribute_of_the_model(fudo: Fudo) -> None:
    answer = await fudo.get("/objspec/session")
    assert list(answer) == ["result", "session"]
    spec = answer["session"]
    assert list(spec)[: len(MODEL)] == MODEL
    assert spec["id"] == {"type": "string", "readonly": True, "unique": True}
    assert spec["paused"] == {"type": "boolean"}
    assert spec["source_port"] == {"type": "number", "readonly": True}
    assert spec["size"] == {"type": "number", "readonly": True, "expensive": True}
    assert spec["ml"] == {"type": "SessionsMLModel", "readonly": True}
    backup = await fudo.get("/objspec/session_backup")
    assert backup["session_backup"] == {
        "session_id": {"type": "string"},
        "session_ids": {"type": "string-array"},
        "backup_id": {"type": "string"},
        "backup_name": {"type": "string"},
    }


async def test_a_get_with_a_body_is_refused_in_the_documents_words(fudo: Fudo) -> None:
    for path in ("/session", "/session/1", "/objspec/session", "/objspec/session_backup"):
        assert await fudo.refused(path, body={}) == "Request body is not allowed for this endpoint"


@pytest.mark.parametrize("path", ["", "/", "/sessions", "/user", "/session/", "/session/1/share", "/objspec/user"])
async def test_unknown_paths_are_unrecognized_endpoints(fudo: Fudo, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert await fudo.refused(path, method) == "Unrecognized endpoint"


async def test_a_method_that_a_path_does_not_have_is_refused_with_those_it_has(fudo: Fudo) -> None:
    async with fudo.api.http.delete(f"{fudo.api.base}/api/v2/session/1") as answer:
        assert answer.status == 405
        assert "GET" in answer.headers["Allow"]
        assert (await answer.json())["result"] == "failure"


async def test_one_session_takes_no_parameters_of_lists(fudo: Fudo) -> None:
    assert "no parameter limit here; known are debug, fields, reveal" in await fudo.refused("/session/1?limit=1")
    assert "no parameter limit here" in await fudo.refused("/objspec/session?limit=1")
