"""Is the whole ready? A verdict from heartbeats and two questions, without I/O.

Ready: Kafka and ClickHouse answer, and worker and sink each have a heartbeat younger than 5 seconds, partitions
assigned, and no lag or a position that moves (hard-questions: readiness).
"""

from collections.abc import Iterable

import msgspec

from schemas.health import Heartbeat
from schemas.times import SECOND

FRESH = 5 * SECOND
COMPONENTS = ("worker", "sink")


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """``lag``: records known to the broker and not yet read; None where that is no question."""

    ok: bool
    message: str
    lag: int | None = None


class Verdict(msgspec.Struct, frozen=True):
    """``status``: ready, starting until it was ready for the first time, degraded after that."""

    status: str
    checks: dict[str, Check]


class _Seen(msgspec.Struct):
    heartbeat: Heartbeat
    #: Time of the heartbeat that first showed the present positions.
    moved: int


class Health:
    """The latest heartbeat of each instance, and when its position moved last."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._was_ready = False
        #: Time at which Kafka last answered, microseconds UTC, and what it says when it does not.
        self.kafka_answered = 0
        self.kafka_problem = "Kafka has not answered yet"

    def take(self, heartbeat: Heartbeat) -> None:
        """Heartbeats come in order per instance; an older one (a replay) is ignored."""
        key = (heartbeat.component, heartbeat.instance)
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = _Seen(heartbeat, heartbeat.time)
        elif heartbeat.time >= seen.heartbeat.time:
            if _positions(heartbeat) != _positions(seen.heartbeat):
                seen.moved = heartbeat.time
            seen.heartbeat = heartbeat

    def forget_before(self, time: int) -> None:
        """Instances that were silent since ``time`` are gone: each process has a name of its own."""
        self._seen = {key: seen for key, seen in self._seen.items() if seen.heartbeat.time >= time}

    def refusal(self, now: int) -> str:
        """Why nothing may be published at ``now``, in words: the embedded broker starts anew. Most often empty."""
        beats = [seen.heartbeat for (component, _), seen in self._seen.items() if component == "broker"]
        return next((beat.message for beat in beats if beat.message and now - beat.time < FRESH), "")

    def verdict(self, now: int, clickhouse: bool) -> Verdict:
        """The state of everything at ``now``, microseconds UTC."""
        kafka = now - self.kafka_answered < FRESH
        checks = {
            "kafka": Check(kafka, "Kafka answers" if kafka else self.kafka_problem),
            "clickhouse": Check(clickhouse, "ClickHouse answers" if clickhouse else "ClickHouse does not answer"),
        }
        for component in COMPONENTS:
            seen = [seen for (name, _), seen in self._seen.items() if name == component]
            checks[component] = _component(component, seen, now)
        ready = all(check.ok for check in checks.values())
        self._was_ready = self._was_ready or ready
        status = "ready" if ready else "degraded" if self._was_ready else "starting"
        return Verdict(status, checks)


def _component(name: str, seen: list[_Seen], now: int) -> Check:
    if not seen:
        return Check(False, f"no heartbeat of a {name} has come yet")
    alive = [one for one in seen if now - one.heartbeat.time < FRESH]
    if not alive:
        last = max((one.heartbeat for one in seen), key=lambda heartbeat: heartbeat.time)
        words = f"the last heartbeat of the {name} is {(now - last.time) / SECOND:.0f} s old"
        return Check(False, words + (f", it said: {last.message}" if last.message else ""))
    working = [one for one in alive if one.heartbeat.generation >= 0 and one.heartbeat.partitions]
    if not working:
        waiting = alive[0].heartbeat.message
        return Check(False, f"the {name} has no partitions yet" + (f": {waiting}" if waiting else ""))
    stuck = [one for one in working if one.heartbeat.lag() and now - one.moved >= FRESH]
    if stuck:
        since = (now - min(one.moved for one in stuck)) / SECOND
        words = f"the {name} has not moved for {since:.0f} s and is {_lag(stuck)} records behind"
        words += f": {stuck[0].heartbeat.message}" if stuck[0].heartbeat.message else ""
        return Check(False, words, _lag(working))
    behind = _lag(working)
    words = f"the {name} is working, {behind} records behind" if behind else f"the {name} is up to date"
    return Check(True, words, behind)


def _lag(seen: Iterable[_Seen]) -> int:
    return sum(one.heartbeat.lag() for one in seen)


def _positions(heartbeat: Heartbeat) -> list[tuple[str, int, int]]:
    return [(p.topic, p.partition, p.position) for p in heartbeat.partitions]
