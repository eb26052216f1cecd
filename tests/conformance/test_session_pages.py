"""Pages of sessions that have many versions: near the newest they are found by candidates, and stay exact."""

import random
from typing import Any

from schemas.times import SECOND
from tests.conformance.conftest import Api, api, apis, store
from tests.conformance.store import Store, micros

__all__ = ["api", "apis", "store"]

_BEGAN = 1_750_000_000 * SECOND


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
