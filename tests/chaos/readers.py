"""Clients of the API that go on asking, whatever is done to everything: what they must never be told."""

import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.client import HTTPException

#: A page of every dialect, a count, an aggregate, and Sojourn's own doors.
PATHS = (
    "/sessions?page=1&response_per_page=10",
    "/events?page=1&response_per_page=10",
    "/sessions/list?start_date=2020-01-01&end_date=2035-01-01",
    "/sessions/session-events?type=all&period=7%20days",
    "/sessions/totals",
    "/devices/totals",
    "/api/v2/session?limit=10",
    "/api/audit/sessions?limit=10",
    "/api/audit/sessions/stats?field=protocol",
    "/health/live",
    "/health/ready",
)
#: Seconds between two questions, and until one without an answer is given up: a frozen process answers late.
_PAUSE, _PATIENCE = 0.1, 30.0
_LONGEST = 300


class Readers:
    """Ask one path after the other, in a thread of its own, until ``end``."""

    def __init__(self, api: str) -> None:
        self._api = api
        #: Path and status; 0 stands for a connection that was refused, cut, or gave nothing for too long.
        self.answers: Counter[tuple[str, int]] = Counter()
        self._wrong: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="readers")
        self._thread.start()

    def all_answered(self) -> bool:
        """Whether every path has answered with 200: chaos may have come before any was ready."""
        return not self._silent()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def complaints(self) -> list[str]:
        """Server errors that are not: a dependency is away, come again then. And paths that never gave an answer."""
        return [*self._wrong[:10], *(f"{path} never answered with 200: {self.answers}" for path in self._silent())]

    def _silent(self) -> list[str]:
        return [path for path in PATHS if not self.answers[path, 200]]

    def _run(self) -> None:
        while not self._stop.is_set():
            for path in PATHS:
                self._ask(path)
                self._stop.wait(_PAUSE)

    def _ask(self, path: str) -> None:
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"http://{self._api}{path}", timeout=_PATIENCE) as answer:
                answer.read()
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
            if status >= 500 and (status != 503 or "Retry-After" not in error.headers):
                text = error.read(_LONGEST).decode(errors="replace")
                self._wrong.append(f"{path}: {status} after {time.monotonic() - began:.1f} s: {error.headers} {text}")
            elif status < 500:
                self._wrong.append(f"{path}: {status}: {error.read(_LONGEST).decode(errors='replace')}")
        except (OSError, HTTPException):
            status = 0
        self.answers[path, status] += 1
