"""A client that marks and removes sessions over the API, whatever is done to everything, and what must come of it."""

import random
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable
from http.client import HTTPException
from urllib.parse import quote

import msgspec

from schemas.records import Session

#: Seconds between two changes, until a request without an answer is given up, and how often one is asked for again.
_PAUSE, _PATIENCE, _AGAIN = 0.3, 20.0, 3
#: Sessions are chosen among so many of either end of the list.
_REACH = 300
#: One change in so many is a removal; so many are made at least, after the chaos if not in it.
_REMOVALS, _ENOUGH = 6, 10


class Made(msgspec.Struct):
    """What was asked of one session. An answer of 200 or 202 must hold; without one it may."""

    reason: str = ""
    removed: bool = False
    answered: int = 0
    #: The last change, when nobody can know whether it was made; nothing more is asked of this session then.
    doubtful: dict[str, str | bool] | None = None


class Changes:
    """Makes one change after the other, in a thread of its own, until ``end``."""

    def __init__(self, api: str, seed: int) -> None:
        self._api = f"http://{api}/api/v2/session"
        self._chance = random.Random(f"{seed}/changes")
        #: Session id → what was asked of it. The ids of all sensors of the oracle are different.
        self.made: dict[str, Made] = {}
        #: Method and status of every answer; 0 stands for none.
        self.answers: Counter[tuple[str, int]] = Counter()
        self._wrong: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="changes")
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def apply(self, expected: Iterable[Session], stored: Iterable[Session]) -> tuple[list[Session], list[str]]:
        """What is expected of the sessions once they are changed as it was answered, and complaints where they are
        not. Where an answer is missing, what is stored decides."""
        found = {one.session_id: one for one in stored}
        complaints = list(self._wrong)
        changed = []
        for session in expected:
            made, there = self.made.get(session.session_id), found.get(session.session_id)
            if made is None or there is None:
                changed.append(session)
                continue
            doubtful = made.doubtful or {}
            if not made.answered <= len(set(there.requests)) <= made.answered + bool(doubtful):
                complaints.append(f"{session.session_id} shows the requests {there.requests} of {made}")
            changed.append(
                msgspec.structs.replace(
                    session,
                    reason=there.reason if there.reason == doubtful.get("reason") else made.reason,
                    removed=made.removed or (there.removed and "removed" in doubtful),
                    requests=there.requests,
                )
            )
        return changed, complaints

    def enough(self) -> bool:
        """Whether there is something to be checked."""
        return bool(self._wrong) or sum(one.answered for one in list(self.made.values())) >= _ENOUGH

    def told(self) -> str:
        """What came of it, in one line."""
        made = self.made.values()
        answered, doubtful = sum(one.answered for one in made), sum(one.doubtful is not None for one in made)
        removed = sum(one.removed for one in made)
        return f"{answered} changes over the API, {removed} of them removals, {doubtful} in doubt: {dict(self.answers)}"

    def _run(self) -> None:
        try:
            self._make()
        except BaseException as error:  # noqa: BLE001 - the test must not go on without it
            self._wrong.append(f"the client that changes sessions has ended: {error!r}")

    def _make(self) -> None:
        number = 0
        while not self._stop.wait(_PAUSE):
            for session_id in self._some():
                made = self.made.setdefault(session_id, Made())
                if made.doubtful is None and not made.removed:
                    number += 1
                    self._change(session_id, made, number)
                if self._stop.is_set():
                    return

    def _some(self) -> list[str]:
        """A few sessions, none while nobody answers. In a path an id has no slash."""
        order = self._chance.choice(("", "-"))
        # Rather near the ends: at first there are few sessions.
        offset = self._chance.randrange(self._chance.randrange(1, _REACH))
        query = f"fields=id&limit=3&offset={offset}&order={order}started_at"
        status, body = self._ask(urllib.request.Request(f"{self._api}?{query}"))
        found = msgspec.json.decode(body)["session"] if status == 200 else []
        return [one["id"] for one in found if "/" not in one["id"]]

    def _change(self, session_id: str, made: Made, number: int) -> None:
        wish: dict[str, str | bool] = {"reason": f"change {number}"}
        if self._chance.randrange(_REMOVALS) == 0:
            wish = {"removed": True}
        request = urllib.request.Request(
            f"{self._api}/{quote(session_id, safe='')}",
            method="PATCH",
            data=msgspec.json.encode(wish),
            headers={"Content-Type": "application/json", "Idempotency-Key": f"change-{number}"},
        )
        made.doubtful = wish
        for attempt in range(_AGAIN):
            status, body = self._ask(request)
            if status in (200, 202):
                made.doubtful = None
                made.answered += 1
                made.reason = str(wish.get("reason", made.reason))
                made.removed = "removed" in wish
                return
            if status not in (0, 503) and (attempt == 0 or status != 404):
                self._wrong.append(f"{wish} of {session_id}: {status} {body[:300]!r}")
            if status == 404 or self._stop.wait(1.0):
                return

    def _ask(self, request: urllib.request.Request) -> tuple[int, bytes]:
        """Status and body; 0 for a connection that was refused, cut, or gave nothing for too long."""
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        except (OSError, HTTPException):
            status, body = 0, b""
        self.answers[request.get_method(), status] += 1
        return status, body
