"""One record, four views: a session reads the same in every dialect that shows it, and in SQL.

What was published says what is expected; docs/dialects/README.md says how each field maps.
"""

import base64
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import clickhouse_connect
import msgspec
import pytest

from deploy.demo import recording
from producers.kafka.publisher import Publisher
from schemas.settings import Settings
from schemas.times import SECOND, rfc3339
from schemas.topics import CONNECTIONS_IN, EVENTS, native_topic
from tests.conformance import views
from tests.conformance.conftest import Api, Apis
from tests.conformance.netalertx import a_mac
from tests.conformance.sps import path
from tests.conformance.views import Side, View
from tests.processes import Processes, processes_of
from tests.workers import until

pytestmark = pytest.mark.integration

SQL = """
SELECT session_id, toUnixTimestamp64Micro(started_at), toUnixTimestamp64Micro(ended_at), client_ip, client_port,
       server_ip, server_port, state, duration, user, protocol, mac, event_count,
       duration_quality = 'lower_bound'
FROM sessions_current WHERE startsWith(sensor, {sensor:String})"""
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND


@pytest.fixture(scope="module")
def pipeline(stack: Any) -> Iterator[tuple[Settings, Processes]]:
    with processes_of(stack.settings) as processes:
        for command in ("process", "sink"):
            processes.start(command)
        yield stack.settings, processes


@pytest.fixture
async def publisher(settings: Settings) -> AsyncIterator[Publisher]:
    async with Publisher(settings.kafka) as running:
        yield running


class House:
    """Publishes what sensors see, and knows which sessions that is; ``begin`` is when it began."""

    def __init__(self, publisher: Publisher, sensor: str) -> None:
        self.sensor = sensor
        self.begin = (time.time_ns() // 1000 - 26 * HOUR) // MINUTE * MINUTE
        self.expected: list[View] = []
        self._publisher = publisher

    async def say(self, topic: str, key: Any, record: dict[str, Any]) -> None:
        await (await self._publisher.send(topic, msgspec.json.encode(key), msgspec.json.encode(record)))

    async def whole(self) -> None:
        """A session that has everything, to the microsecond, over IPv6; a command and a login in between."""
        mac, name = a_mac(), f"{self.sensor}/1"
        client, server = Side("2001:db8::7", 50022), Side("192.0.2.9", 22)
        start, end = self.begin + 123_456, self.begin + 95 * MINUTE + 7 * SECOND + 987_654
        known = {"sensor": self.sensor, "session_id": name}
        addresses = {"client_ip": client.ip, "client_port": client.port}
        addresses |= {"server_ip": server.ip, "server_port": server.port}
        connect = {**known, **addresses, "action": "connect", "mac": mac, "protocol": "ssh", "time": rfc3339(start)}
        await self.say(CONNECTIONS_IN, [self.sensor, name], connect)
        for minute, event in ((5, {"kind": "login.success", "user": "alice"}), (9, {"kind": "command", "data": "id"})):
            moment = rfc3339(self.begin + minute * MINUTE)
            await self.say(EVENTS, [self.sensor, name], {**known, **event, "mac": mac, "time": moment})
        gone = {**known, "action": "disconnect", "time": rfc3339(end)}
        await self.say(CONNECTIONS_IN, [self.sensor, name], gone)
        length = (end - start) / SECOND
        self.expected.append(
            View(start=start, end=end, client=client, server=server, open=False, duration=length, user="alice",
                 protocol="ssh", mac=mac, events=4, guessed=False)
        )  # fmt: skip

    async def cowrie(self) -> None:
        """The second session of the recording, as the honeypot logged it."""
        lines = [msgspec.json.decode(line) for line in recording()]
        names = list(dict.fromkeys(line["session"] for line in lines))
        lines = [line for line in lines if line["session"] == names[1]]
        name = uuid.uuid4().hex[:12]
        for line in lines:
            line |= {"session": name, "sensor": f"{self.sensor}-cowrie"}
            await self.say(native_topic("cowrie"), [line["sensor"], name], line)
        first, last = lines[0], lines[-1]
        start, end = (views.micros(line["timestamp"]) for line in (first, last))
        assert start is not None and end is not None
        self.expected.append(
            View(start=start, end=end, open=False, duration=(end - start) / SECOND, user="root", protocol="ssh",
                 client=Side(first["src_ip"], first["src_port"]), server=Side(first["dst_ip"], first["dst_port"]),
                 mac="", events=16, guessed=False)
        )  # fmt: skip

    async def devices(self) -> None:
        """C0 IP Changed D2, D3 alone, C4 whose end nobody saw, C5 still there; no user, protocol or server."""
        mac, ip = a_mac(), "192.168.1.10"
        kinds = ["Connected", "IP Changed", "Disconnected", "Device Down", "Down Reconnected", "Connected"]
        times = [self.begin + hour * HOUR + 7 * SECOND for hour in range(6)]
        for moment, kind in zip(times, kinds, strict=True):
            row = {"eve_MAC": mac, "eve_IP": ip, "eve_DateTime": rfc3339(moment), "eve_EventType": kind}
            await self.say(native_topic("netalertx"), [mac], {**row, "sensor": f"{self.sensor}-lan"})
        spans = (
            *((times[0], times[2], 3, False), (None, times[3], 1, False)),
            *((times[4], times[4], 1, True), (times[5], None, 1, False)),
        )
        for start, end, events, guessed in spans:
            length = None if start is None or end is None else (end - start) / SECOND
            self.expected.append(
                View(start=start, end=end, client=Side(ip), server=Side(), open=end is None, duration=length, user="",
                     protocol="", mac=mac, events=events, guessed=guessed)
            )  # fmt: skip

    async def honeytrap(self) -> None:
        """A login, a command, and the message of the service that closes; the id holds the second of the start."""
        start, end = self.begin + 2 * HOUR, self.begin + 2 * HOUR + 125 * SECOND + 40_000
        xid = base64.b32hexencode((start // SECOND).to_bytes(4, "big") + uuid.uuid4().bytes[:8])
        client, server = Side("203.0.113.7", 49269), Side("10.0.0.5", 8022)
        said: list[dict[str, Any]] = [
            {"type": "password-authentication", "ssh.username": "root", "ssh.password": "123456"},
            {"type": "ssh-channel", "ssh.command": "uname -a"},
            {"type": "ssh-session"},
        ]
        name = xid.decode().lower().rstrip("=")
        for message, moment in zip(said, (start + 3 * SECOND, start + 9 * SECOND, end), strict=True):
            message |= {"category": "ssh", "sensor": f"{self.sensor}-services", "date": rfc3339(moment)}
            message |= {"source-ip": client.ip, "source-port": client.port, "ssh.sessionid": name}
            message |= {"destination-ip": server.ip, "destination-port": server.port}
            await self.say(native_topic("honeytrap"), [name], message)
        self.expected.append(
            View(start=start, end=end, client=client, server=server, open=False, duration=(end - start) / SECOND,
                 user="root", protocol="ssh", mac="", events=3, guessed=False)
        )  # fmt: skip


async def in_sql(settings: Settings, sensor: str) -> dict[str, View]:
    store = settings.clickhouse
    client = await clickhouse_connect.get_async_client(
        dsn=store.url, username=store.reader, password=store.reader_password, database=store.database
    )
    async with client:
        found = await client.query(SQL, parameters={"sensor": sensor})
    return {
        row[0]: View(start=row[1], end=row[2], client=Side(row[3], row[4]), server=Side(row[5], row[6]),
                     open=row[7] == "open", duration=row[8], user=row[9], protocol=row[10], mac=row[11], events=row[12],
                     guessed=bool(row[13]))
        for row in found.result_rows
    }  # fmt: skip


def in_order(found: list[View]) -> list[View]:
    return sorted(found, key=lambda one: (one.start or one.end or 0, one.mac or ""))


def seen_by_netalertx(one: View) -> View:
    """It knows no guesses: an end that nobody saw is none."""
    return msgspec.structs.replace(one, end=None, duration=None) if one.guessed else one


@pytest.fixture
async def api(apis: Apis, settings: Settings) -> Api:
    """One server for all dialects."""
    return await apis.start(settings, write_seconds=60)


async def test_a_session_reads_the_same_in_every_dialect_and_in_sql(
    api: Api, publisher: Publisher, pipeline: tuple[Settings, Processes], sensor: str
) -> None:
    settings, processes = pipeline
    house = House(publisher, sensor)
    for publish in (house.whole, house.cowrie, house.devices, house.honeytrap):
        await publish()
    truth: dict[str, View] = {}

    async def all_there() -> bool:
        truth.clear()
        truth.update(await in_sql(settings, sensor))
        return in_order(list(truth.values())) == in_order(house.expected)

    await until(
        all_there, 60, lambda: f"{in_order(list(truth.values()))}\n{in_order(house.expected)}\n{processes.logs()}"
    )

    assert await views.honeytrap(api, sensor) == truth
    hundredths = {name: views.at_resolution(one, one, 10_000, 0) for name, one in truth.items()}
    documented = await views.honeytrap_as_documented(api, sensor)
    assert documented == {name: (one.start, one.end) for name, one in hundredths.items()}
    for name, one in truth.items():
        in_sps = await views.sps(api, name)
        assert in_sps == views.at_resolution(one, in_sps, 1, 1)
        in_fudo = await views.fudo(api, name)
        assert in_fudo == views.at_resolution(one, in_fudo, 1, 0)
    devices = {str(one.mac) for one in truth.values()} - {""}
    assert len(devices) == 2
    for mac in devices:
        found = await views.netalertx(api, mac, house.begin)
        expected = [seen_by_netalertx(one) for one in in_order([one for one in truth.values() if one.mac == mac])]
        assert found == [views.at_resolution(one, seen, SECOND, 60) for one, seen in zip(expected, found, strict=True)]

    # What NetAlertX's API deletes is gone from all of them; the events stay.
    gone = {name for name, one in truth.items() if one.mac in devices}
    for mac in devices:
        headers = {"Content-Type": "application/json"}
        async with api.http.delete(f"{api.base}/sessions/delete", json={"mac": mac}, headers=headers) as answer:
            assert (answer.status, (await answer.json())["success"]) == (200, True)
        assert (await api.get(f"/sessions/list?mac={mac}"))["sessions"] == []
    left = {name: one for name, one in truth.items() if name not in gone}
    assert await in_sql(settings, sensor) == await views.honeytrap(api, sensor) == left
    for name in gone:
        assert (await api.get(path(name), status=404))["error"]["type"] == "ResourceNotFound"
        found = await api.get(f"/api/v2/session/{quote(name, safe='')}", status=404)
        assert found == {"result": "failure", "message": "Object not found"}
    stored = (await api.get(f"/events?sensors=%5E{sensor}"))["matched"]
    assert stored == sum(one.events for one in house.expected if isinstance(one.events, int))
