"""Pages of sessions that have many versions: near the newest they are found by candidates, and stay exact."""

import hashlib
import random
from collections import Counter
from typing import Any

from schemas.times import SECOND
from tests.conformance.conftest import Api, api, apis, store
from tests.conformance.store import Store, micros

__all__ = ["api", "apis", "store"]

_BEGAN = 1_750_000_000 * SECOND


def mac_of(sensor: str) -> str:
    return hashlib.md5(sensor.encode(), usedforsecurity=False).hexdigest()[:12]


def versions(sensor: str, sessions: int, chance: random.Random) -> list[dict[str, Any]]:
    """Up to five versions each: starts move by hours, many are equal, some sessions are removed at the end."""
    rows = []
    for n in range(sessions):
        revisions = chance.randint(1, 5)
        for revision in range(1, revisions + 1):
            start = _BEGAN + chance.randrange(50) * 3600 * SECOND
            rows.append(
                {
                    "sensor": sensor,
                    "session_id": f"{n:05}",
                    "revision": revision,
                    "started_at": micros(start),
                    "last_activity_at": micros(start),
                    "ended_at": micros(start + 60 * SECOND),
                    "mac": mac_of(sensor),
                    "protocol": chance.choice(["ssh", "telnet"]),
                    "state": chance.choice(["open", "closed"]),
                    "removed": revision == revisions and chance.random() < 0.2,
                }
            )
    chance.shuffle(rows)
    return rows


async def test_every_page_is_the_slice_of_the_whole_list_that_it_says(api: Api, store: Store, sensor: str) -> None:
    chance = random.Random(7)
    rows = versions(sensor, 400, chance)
    # Several parts, so that versions are not merged away before they are read.
    for part in range(4):
        store.sessions(rows[part::4])
    current = {row["session_id"]: row for row in sorted(rows, key=lambda row: row["revision"])}
    expected = [row for row in current.values() if not row["removed"]]
    expected.sort(key=lambda row: (row["started_at"], row["session_id"]), reverse=True)
    for codes, state in (([], None), ([5], "open"), ([6], "closed")):
        ids = [row["session_id"] for row in expected if state in (None, row["state"])]
        for size, number in ((1, 1), (7, 1), (7, 5), (50, 2), (100, 1), (99, 2), (400, 1), (1000, 1), (10, 60)):
            asked = {"response_per_page": size, "page": number, "types": codes, "sensors": [f"^{sensor}$"]}
            answer = await api.get("/sessions", asked)
            got = [row["session_id"] for row in answer["events"]]
            assert got == ids[(number - 1) * size : number * size], (codes, size, number)
            assert answer["matched"] == len(ids)


async def test_what_is_bounded_by_time_is_told_by_current_versions(api: Api, store: Store, sensor: str) -> None:
    chance = random.Random(8)
    rows = versions(sensor, 300, chance)
    for part in range(4):
        store.sessions(rows[part::4])
    current = {row["session_id"]: row for row in sorted(rows, key=lambda row: row["revision"])}
    for hours in (1, 9, 30, 60):
        start, end = _BEGAN + 10 * 3600 * SECOND, _BEGAN + (10 + hours) * 3600 * SECOND
        expected = [
            row
            for row in current.values()
            if not row["removed"] and micros(start) <= row["started_at"] and row["ended_at"] < micros(end)
        ]
        bounds = f"start={iso(start)}&end={iso(end)}&q=recording.connection_policy:{sensor}"
        counted = await api.get(f"/api/audit/sessions/_count?{bounds}")
        assert counted["count"] == len(expected)
        stats = (await api.get(f"/api/audit/sessions/stats?field=protocol&{bounds}"))["body"]["buckets"]
        protocols = Counter(row["protocol"].upper() for row in expected)
        assert {bucket["value"]: bucket["count"] for bucket in stats} == protocols
        listed = await api.get(f"/sessions/list?mac={mac_of(sensor)}&start_date={iso(start)}&end_date={iso(end - 1)}")
        times = [row["started_at"] for row in expected if row["state"] == "closed"]
        shown = [row["ses_DateTimeConnection"] for row in listed["sessions"]]
        assert shown == sorted((time.split(".")[0] for time in times), reverse=True)


def iso(moment: int) -> str:
    return micros(moment).replace(" ", "T")


async def test_a_count_is_that_of_now(api: Api, store: Store, sensor: str) -> None:
    asked = {"response_per_page": 1, "sensors": [f"^{sensor}$"]}
    for count in range(1, 6):
        store.sessions([{"sensor": sensor, "session_id": str(count), "revision": 1}])
        assert (await api.get("/sessions", asked))["matched"] == count
        assert (await api.get("/sessions", asked))["matched"] == count
    store.sessions([{"sensor": sensor, "session_id": "1", "revision": 2, "removed": True}])
    assert (await api.get("/sessions", asked))["matched"] == 4


async def test_ids_that_grow_when_they_are_escaped_fill_a_page(api: Api, store: Store, sensor: str) -> None:
    ids = [f"{number:04}" + "\\" * 110 + "'" * 110 for number in range(450)]
    store.sessions([{"sensor": sensor, "session_id": one, "event_count": 1} for one in ids])
    answer = await api.get("/sessions", {"response_per_page": 450, "page": 1, "sensors": [f"^{sensor}$"]})
    assert sorted(row["session_id"] for row in answer["events"]) == ids
