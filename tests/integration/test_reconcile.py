"""``sojourn reconcile``: nothing to say of a sound store; damage is named, field by field, and repaired."""

import asyncio
import uuid
from pathlib import Path

import msgspec
import pytest

from deploy.reconcile import Found, ReconcileError, run_reconcile
from producers.kafka.publisher import Publisher
from producers.writes import Target, amend, remove, remove_device, write_of
from schemas import topics
from schemas.records import Action, Amendment, Connection, Event, session_key
from schemas.settings import Settings
from schemas.times import HOUR, SECOND, rfc3339
from tests.integration.sinks import running_sink, store, until
from tests.integration.test_suricata_flows import life as eve_lines
from tests.stack import Stack
from tests.workers import workers_of

pytestmark = pytest.mark.integration

RECORDING = Path(__file__).parents[2] / "deploy/demo/cowrie-live.json"
START = 1_795_309_000 * SECOND
RANGE = (START - HOUR, START + 24 * HOUR)
#: Without what a repair moves, and what only the broker knew.
WHOLE = """SELECT * EXCEPT (ingested_at, revision, version, created_at, modified_at) FROM sessions_current
ORDER BY sensor, session_id"""
MAC = "AA:BB:CC:00:11:22"


async def reconciled(settings: Settings, apply: bool = False) -> tuple[Found, list[str]]:
    said: list[str] = []
    found = await asyncio.to_thread(run_reconcile, settings, *RANGE, apply, 0.0, said.append)
    return found, said


def connections() -> list[Connection]:
    """Sessions of each kind of key: ended, open, orphaned, gone idle, whole, superseded; and a sensor's new life."""

    def record(action: Action, second: int, **fields: object) -> Connection:
        known: dict[str, object] = {"sensor": "pot", "protocol": "ssh", "time": START + second * SECOND}
        return Connection(action=action, **{**known, **fields})  # type: ignore[arg-type]

    bare = {"protocol": "tcp", "client_ip": "192.0.2.7", "client_port": 4000, "server_ip": "10.0.0.1"}
    device = {"sensor": "scan", "protocol": "", "mac": MAC}
    records = []
    for number in range(200):
        name = f"s{number:03d}"
        records.append(record(Action.CONNECT, number, session_id=name, client_ip="198.51.100.1", client_port=number))
        if number % 5:
            records.append(record(Action.DISCONNECT, number + 30, session_id=name))
    return [
        *records,
        record(Action.DISCONNECT, 40, session_id="orphan"),
        record(Action.CONNECT, 10, sensor="old", session_id="restarted"),
        record(Action.SENSOR_START, 60, sensor="old", boot_id="2"),
        record(Action.CONNECT, 0, **bare),
        record(Action.DISCONNECT, 30, **bare),
        record(Action.CONNECT, 50, **bare),
        record(Action.CONNECT, 80, **bare),
        record(Action.CONNECT, 0, kind="New Device", **device),
        record(Action.DISCONNECT, 100, kind="Disconnected", **device),
        record(Action.CONNECT, 200, kind="Connected", **device),
        record(Action.COMPLETE, 50, started=START, ended=START + 50 * SECOND, record_id="made", **device),
    ]


# Servers of its own: it takes rows out of the tables.
async def test_damage_is_named_and_repaired(own_stack: Stack) -> None:
    settings = own_stack.settings
    admin = msgspec.structs.replace(settings.clickhouse, writer="admin", writer_password=own_stack.admin_password)
    with workers_of(settings) as workers:
        async with (
            Publisher(settings.kafka) as publisher,
            store(settings) as client,
            store(msgspec.structs.replace(settings, clickhouse=admin)) as strong,
            running_sink(settings),
        ):

            async def one(query: str) -> object:
                return (await client.query(query)).result_rows[0][0]

            workers.start()
            futures = []
            for record in connections():
                write = write_of(record)
                futures.append(await publisher.send(write.topic, write.key, write.value))
            for number in range(400):
                event = Event(sensor="pot", time=START + number * SECOND // 4, session_id=f"s{number % 200:03d}")
                fields = {**msgspec.to_builtins(event), "time": rfc3339(event.time), "kind": "command"}
                futures.append(await publisher.send(topics.EVENTS, session_key(event), msgspec.json.encode(fields)))
            life = uuid.uuid4().hex
            for text in RECORDING.read_bytes().splitlines():
                said = msgspec.json.decode(text)
                said["sensor"] = f"cowrie-{life}"
                value = msgspec.json.encode(said)
                futures.append(await publisher.send(topics.native_topic("cowrie"), said["session"].encode(), value))
            flows = [
                *eve_lines("ids", START, 600),
                *eve_lines("ids", START + 2 * HOUR, 20),
                *eve_lines("ids", START, 9, 7)[-1:],
            ]
            for line in flows:
                futures.append(await publisher.send(topics.native_topic("suricata"), b"ids", msgspec.json.encode(line)))
            # No record, so no row: not a hole.
            futures.append(await publisher.send(topics.EVENTS, None, b"{broken"))
            await asyncio.gather(*futures)
            expected = 200 + 2 + 3 + 3 + 8 + 3

            async def all_there() -> bool:
                query = (
                    "SELECT count() FROM sessions_current WHERE key != '' AND (state = 'open' OR duration IS NOT NULL)"
                )
                return (
                    int(str(await one(query))) >= expected - 1
                    and int(str(await one("SELECT count() FROM events"))) > 700
                )

            await until("everything is stored", all_there, 60)
            rows = await client.query("SELECT sensor, session_id, key, mac FROM sessions_current ORDER BY started_at")
            some = [Target(*row[:3]) for row in rows.result_rows if row[3] or row[1] in ("s001", "s002")]
            for number, target in enumerate(some):
                write = amend(target, f"amend-{number}", START, Amendment(reason="why"), {"label": str(number)})
                await (await publisher.send(write.topic, write.key, write.value))
            gone = next(target for target in some if target.session_id == "s002")
            for write in (
                remove(gone, "gone", START),
                remove_device("api", MAC, "all", START),
                write_of(
                    Connection(
                        action=Action.CONNECT,
                        sensor="scan",
                        time=START + 300 * SECOND,
                        mac=MAC,
                        record_id="again",
                        kind="Connected",
                    )
                ),
            ):
                await (await publisher.send(write.topic, write.key, write.value))

            async def settled() -> bool:
                query = "SELECT countIf(has(requests, 'all')), countIf(opened_by = 'again') FROM sessions_all"
                return tuple((await client.query(query)).result_rows[0]) == (3, 1)

            await until("what the API wrote is stored", settled, 60)

            async def sound() -> bool:
                found, said = await reconciled(settings)
                last[:] = [found, *said]
                return not found.different and not found.missing_rows

            last: list[object] = []
            try:
                await until("sessions are as their records say", sound, 30)
            except AssertionError as error:
                raise AssertionError("\n".join(map(str, last))) from error
            found, said = await reconciled(settings)
            assert (found.is_wrong, said) == (False, [])
            assert found.sessions >= expected

            before = (await client.query(WHOLE)).result_rows
            events = await one("SELECT count() FROM events")
            await client.command(
                "INSERT INTO sessions SELECT * REPLACE (revision + 1 AS revision, '203.0.113.99' AS client_ip,"
                " ended_at + 60 AS ended_at, 5 AS event_count) FROM sessions FINAL WHERE session_id = 's011'"
            )
            for statement in (
                "DELETE FROM sessions WHERE session_id IN ('s012', 's002')",
                "DELETE FROM events WHERE session_id IN ('s021', 's022')",
                "DELETE FROM events WHERE mac != '' AND kind = 'device.lost'",
            ):
                await strong.command(statement, settings={"lightweight_deletes_sync": 2})
            lost = int(str(events)) - int(str(await one("SELECT count() FROM events")))
            assert lost > 4
            found, said = await reconciled(settings)
            assert (found.missing_rows, found.restored_rows, found.published) == (lost, 0, 0)
            text = "\n".join(said)
            assert (
                "session pot/s011: ended_at is 2026-11-22T00:58:21.000000Z, 2026-11-22T00:57:21.000000Z by" in text
            ), text
            assert "client_ip is 203.0.113.99, 198.51.100.1 by its records" in text
            assert "session pot/s012: missing; its records make one" in text
            assert "session pot/s021: no record makes it" in text
            assert "s002" not in text, "a removed session stays removed"
            assert "rows are missing; sojourn replay or --apply" in text
            found, said = await reconciled(settings, apply=True)
            assert (found.missing_rows, found.restored_rows, found.is_wrong) == (lost, lost, False), said
            assert found.published == found.different == 2, said

            async def repaired() -> bool:
                after = (await client.query(WHOLE)).result_rows
                last[:] = [row for row in after if row not in before] + [row for row in before if row not in after]
                return not last

            await until("everything is as it was", repaired, 60)
            found, said = await reconciled(settings)
            assert (found.is_wrong, said) == (False, [])
            assert await one("SELECT count() FROM events") == events
            await client.command("INSERT INTO events SELECT * FROM events WHERE session_id = 's031' LIMIT 2")
            found, said = await reconciled(settings)
            assert (found.double_rows, len(said)) == (2, 2)
            assert "stored 2 times" in said[0]


def test_a_range_must_have_a_length(settings: Settings) -> None:
    with pytest.raises(ReconcileError, match="--from must lie before --to"):
        run_reconcile(settings, 5, 5, False, 0.0, print)
