"""One session as each dialect tells of it, read back into one form: what is left UNSET, a dialect does not say."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from schemas.times import from_datetime, to_datetime
from tests.conformance.conftest import Api
from tests.conformance.fudo import Fudo
from tests.conformance.sps import path

#: What NetAlertX writes where nobody saw an end.
MISSING = "<missing event>"


class Side(msgspec.Struct, frozen=True):
    ip: str = ""
    port: int = 0


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Times are microseconds UTC, durations seconds; None is what is not known, "" and 0 what there is not."""

    start: int | None
    end: int | None
    client: Side | str
    open: bool
    server: Side | UnsetType = UNSET
    duration: float | UnsetType | None = UNSET
    user: str | UnsetType = UNSET
    protocol: str | UnsetType = UNSET
    mac: str | UnsetType = UNSET
    events: int | UnsetType = UNSET
    #: Nobody saw the end: it is the last sign of life.
    guessed: bool | UnsetType = UNSET


def micros(text: str | None, format: str = "") -> int | None:
    """Without a zone it is UTC; "" is no time."""
    if not text or text == MISSING:
        return None
    moment = datetime.strptime(text, format).replace(tzinfo=UTC) if format else datetime.fromisoformat(text)
    return from_datetime(moment.replace(tzinfo=moment.tzinfo or UTC))


def side(text: str) -> Side:
    """Of ``10.0.0.5:22``, ``[fe80::1]:22`` or an address alone."""
    if text.count(":") != 1 and not text.startswith("["):
        return Side(text)
    ip, _, port = text.rpartition(":")
    return Side(ip.strip("[]"), int(port))


def of_honeytrap(row: Mapping[str, Any], details: Mapping[str, Any]) -> View:
    return View(
        start=micros(row["started"]),
        end=micros(row["ended"]),
        client=side(row["hostAddr"]),
        server=side(row["localAddr"]),
        open=row["type"] == 5,
        duration=details["duration"],
        user=details["user"],
        protocol=details["protocol"],
        mac=details["mac"],
        events=details["event_count"],
        guessed=details["duration_quality"] == "lower_bound",
    )


async def honeytrap(api: Api, sensors: str) -> dict[str, View]:
    """By id, all sessions of the sensors whose names begin so."""
    found = await api.get(f"/sessions?sensors=%5E{sensors}&time_format=rfc3339")
    assert found["matched"] == len(found["events"])
    return {row["session_id"]: of_honeytrap(row, row["details"]) for row in found["events"]}


async def honeytrap_as_documented(api: Api, sensors: str) -> dict[str, tuple[int | None, int | None]]:
    """Start and end in the form of its document, which has hundredths of a second."""
    found = await api.get(f"/sessions?sensors=%5E{sensors}")
    form = "%d-%m-%Y %H:%M:%S:%f"
    return {row["session_id"]: (micros(row["started"], form), micros(row["ended"], form)) for row in found["events"]}


async def sps(api: Api, session_id: str) -> View:
    body = (await api.get(path(session_id)))["body"]
    target = body["recording"]["target"]
    assert target == body["server"] == body["recording"]["server_local"]
    async with api.http.get(f"{api.base}{path(session_id)}/audit_trail") as answer:
        assert answer.status == 200
        records = len((await answer.text()).splitlines())
    return View(
        start=micros(body["start_time"]),
        end=micros(body["end_time"]),
        client=Side(body["client"]["ip"] or "", body["client"]["port"] or 0),
        server=Side(body["server"]["ip"] or "", body["server"]["port"] or 0),
        open=body["active"],
        duration=body["duration"],
        user=body["user"]["name"] or "",
        protocol=(body["protocol"] or "").lower(),
        events=records,
    )


async def fudo(api: Api, session_id: str) -> View:
    """Nulls are left out there."""
    one = f"/session/{quote(session_id, safe='')}"
    found = (await Fudo(api).get(one))["session"]
    raw = (await Fudo(api).get(f"{one}?fields=protocol_raw"))["session"]
    return View(
        start=micros(found.get("started_at")),
        end=micros(found.get("finished_at")),
        client=Side(found.get("source_ip", ""), found.get("source_port", 0)),
        server=Side(found.get("destination_ip", ""), found.get("destination_port", 0)),
        open="finished_at" not in found,
        user=found.get("user_id", ""),
        protocol=raw["protocol_raw"] or "",
    )


def of_netalertx(row: Mapping[str, Any]) -> View:
    """By the product's columns; the document's are checked beside them."""
    start, end = micros(row["ses_DateTimeConnection"]), micros(row["ses_DateTimeDisconnection"])
    for text, moment in ((row["ses_Connection"], start), (row["ses_Disconnection"], end)):
        assert text in (MISSING, "...") if moment is None else micros(text) == moment // 60_000_000 * 60_000_000
    length = None
    if row["ses_Duration"] != "...":
        hours, minutes = (int(part[:-1]) for part in row["ses_Duration"].split())
        length = float(hours * 3600 + minutes * 60)
    return View(
        start=start,
        end=end,
        client=row["ses_IP"],
        open=row["ses_StillConnected"] == 1,
        duration=length,
        mac=row["ses_MAC"],
        guessed=row["ses_Disconnection"] == MISSING,
    )


async def netalertx(api: Api, mac: str, start: int) -> list[View]:
    """All sessions of a device, oldest first; what its page, the calendar and the table of sessions say is the same.

    ``start`` is before the first of them.
    """
    listed = (await api.get(f"/sessions/list?mac={mac}"))["sessions"]
    of_page = (await api.get(f"/sessions/{mac}?period=7 days"))["sessions"]
    assert of_page == [
        {name: row.get(name) for name in one} for one, row in zip(of_page, _ordered(listed), strict=True)
    ]
    days = [f"{to_datetime(moment):%Y-%m-%d}" for moment in (start, time.time_ns() // 1000)]
    drawn = (await api.get(f"/sessions/calendar?start={days[0]}&end={days[1]}&mac={mac}"))["sessions"]
    rows = (await api.get("/sessions/session-events?type=sessions&period=7 days"))["data"]
    rows = [row for row in rows if row[13] == mac]
    for row, item, one in zip(rows, drawn, map(of_netalertx, listed), strict=True):
        assert item["tooltip"].startswith(f"Connection: {row[5]}\nDisconnection: ")
        assert (row[8] // 60 * 60, row[9], row[12]) == (one.duration or 0, one.client, one.open)
        assert one.start is None or micros(item["start"]) == one.start
        assert one.end is None or micros(item["end"]) == one.end
    return [of_netalertx(row) for row in reversed(listed)]


def _ordered(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With what the page of a device sorts by."""
    return [
        {**row, "ses_DateTimeOrder": row["ses_DateTimeConnection"] or row["ses_DateTimeDisconnection"]}
        for row in listed
    ]


def at_resolution(truth: View, view: View, moment: int, seconds: int) -> View:
    """``truth`` as ``view`` can say it: what that leaves unset, too, and times and durations floored."""

    def floored(time: int | None) -> int | None:
        return None if time is None else time // moment * moment

    told: dict[str, Any] = {
        name: UNSET if getattr(view, name) is UNSET else getattr(truth, name) for name in View.__struct_fields__
    }
    told |= {"start": floored(truth.start), "end": floored(truth.end)}
    if isinstance(told["duration"], float) and seconds:
        told["duration"] = told["duration"] // seconds * seconds
    if isinstance(view.client, str):
        assert isinstance(truth.client, Side)
        told["client"] = truth.client.ip
    return View(**told)
