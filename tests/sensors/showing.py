"""A session of a real sensor as every API that shows it tells of it."""

import asyncio
from typing import Any, cast

import aiohttp
from aiohttp import web

from tests.conformance import views
from tests.conformance.conftest import Api
from tests.conformance.sps import path
from tests.conformance.views import View, at_resolution
from tests.up_process import Up, wait_for

_SQL = """SELECT session_id FROM sessions_current
WHERE sensor = {sensor:String} AND state = 'closed' AND client_port = {port:UInt16} AND duration_quality = 'exact'"""


async def closed_session(up: Up, sensor: str, client_port: int) -> str:
    """The id of the one session of this client, when it is there and closed exactly."""
    found: list[tuple[Any, ...]] = []

    def there() -> bool:
        found[:] = up.rows(_SQL, sensor=sensor, port=client_port)
        return bool(found)

    await asyncio.to_thread(wait_for, f"a session of {sensor}", there, found)
    [[session_id]] = found
    return str(session_id)


async def shown_everywhere(up: Up, sensor: str, session_id: str, truth: View) -> str:
    """Honeytrap, SPS and Fudo tell of the session what ``truth`` says, and NetAlertX, which shows devices, nothing.

    Returns what SPS tells of its events.
    """
    base = f"http://127.0.0.1:{up.ports.http}"
    async with aiohttp.ClientSession() as http:
        # The application is in another process.
        api = Api(cast(web.Application, None), base, http)
        told = {
            "honeytrap": (await views.honeytrap(api, sensor))[session_id],
            "sps": await views.sps(api, session_id),
            "fudo": await views.fudo(api, session_id),
        }
        for name, view in told.items():
            # SPS has whole seconds of duration.
            expected = at_resolution(truth, view, 1, int(name == "sps"))
            assert view == expected, (name, view, expected)
        listed = await api.get("/sessions/list?start_date=2020-01-01&end_date=2100-01-01")
        assert all(truth.start != views.micros(row["ses_DateTimeConnection"]) for row in listed["sessions"])
        async with http.get(f"{base}{path(session_id)}/events") as answer:
            assert answer.status == 200
            return await answer.text()


async def commands_of(up: Up, sensor: str, count: int) -> list[str]:
    """What was typed, in the order of time, as Honeytrap's list of events tells it."""
    base = f"http://127.0.0.1:{up.ports.http}"
    async with aiohttp.ClientSession() as http:
        api = Api(cast(web.Application, None), base, http)
        async with asyncio.timeout(60):
            while True:
                found = await api.get(f"/events?types=command&sensors=%5E{sensor}%24&page=1&response_per_page=100")
                if found["matched"] >= count:
                    return [event["data"] for event in reversed(found["events"])]
                await asyncio.sleep(0.2)
