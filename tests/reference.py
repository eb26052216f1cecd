"""The rules of session-semantics once more, the slow way: all records of a key at hand, sorted, paired by the text.

Shares no code with the session machine; the properties and the oracle test (tests/chaos) compare the two.
"""

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

from schemas.records import Connection, Session
from schemas.settings import Sessions
from schemas.times import SECOND, rfc3339

WHO = ("sensor", "protocol", "client_ip", "client_port", "client_name", "server_ip", "server_port", "server_name")
WHO += ("mac", "token", "location", "category", "container_id", "boot_id")
Key = tuple[str, ...]
NAMESPACE, MISSING, FOREVER = UUID("5c1a1f0e-7d2b-5d0a-9f53-0b6e4c0d7a11"), "<missing event>", 1 << 62


def sessions_of(records: list[Connection], limits: Sessions, reached: dict[str, int]) -> list[Session]:
    """All sessions of ``records`` when the event time of each sensor has come to ``reached`` (microseconds UTC)."""
    keys: dict[Key, dict[tuple[str, int], Connection]] = defaultdict(dict)
    for r in records:
        ends = [r.process] if r.process else [f"{r.client_ip}:{r.client_port}", f"{r.server_ip}:{r.server_port}"]
        mac = (r.mac.lower().replace(":", ""),) if r.mac else ()
        own = (r.sensor, r.session_id) if r.session_id else mac
        keys[own or (r.sensor, r.protocol, *ends)][r.source, r.positions[0]] = r
    found = []
    boots = {name: [r.time for r in records if r.sensor == name and r.action == "sensor_start"] for name in reached}
    for key, once in keys.items():
        ordered = sorted(once.values(), key=lambda record: (record.time, record.record_id))
        known = boots[ordered[0].sensor], reached[ordered[0].sensor]
        found += (_one if len(key) == 2 else _many)(key, ordered, limits, *known)
    return found


def _one(key: Key, records: list[Connection], limits: Sessions, boots: list[int], reached: int) -> list[Session]:
    """The sensor's id: all records are one session, from its earliest opening to its latest closing."""
    opened = [(r.started or r.time, r.record_id, r) for r in records if r.opens or r.action in ("connect", "complete")]
    closed = [(-(r.ended or r.time), r.record_id, r) for r in records if r.action in ("disconnect", "complete")]
    start, _, opener = min(opened, default=(None, "", None))
    end, _, closer = min(closed, default=(None, "", None))
    last = max((r.ended or r.time for r in records if r.action != "annotate"), default=0)
    reason = closer.action if closer else _guess(start or 0, last, records, limits, boots, reached)
    return [_session(key, records, opener, closer, -end if end else last, last, reason)] if opened or closed else []


def _many(key: Key, records: list[Connection], limits: Sessions, boots: list[int], reached: int) -> list[Session]:
    """No id: an opening pairs with the next event that is strictly later; what is left over is no opening's end."""
    device, grace, found, ends = len(key) == 1, round(limits.grace * SECOND), [], {}
    opens, closes = ({r.time: r for r in reversed(records) if r.action == each} for each in ("connect", "disconnect"))
    opens |= {r.time: r for r in reversed(records) if r.kind == "New Device"}
    for start, after in pairwise([*sorted(opens | closes), 0]):
        end = start if not device and start in closes.keys() - ends.values() else after
        ends |= {start: end} if start in opens and end in closes else {}
    begun = sorted([(time, 0) for time in closes.keys() - ends.values()] + [(time, 1) for time in opens])
    for (start, opened), (after, _) in pairwise([*begun, (FOREVER, 1)]):
        end = ends.get(start) if opened else start
        until, opener = min(after, FOREVER if end is None else end + grace + 1), opens[start] if opened else None
        touches = [r for r in records if r.action in ("activity", "annotate") and start <= r.time < until]
        last = max([end or start, *(r.time for r in touches if r.action == "activity" and r.time < (end or FOREVER))])
        its = [r for r in records if (r.time, r.action) in ((opener and start, "connect"), (end, "disconnect"))]
        reason = "disconnect" if end else _guess(start, last, records, limits, boots, min(reached, after - 1 + grace))
        reason = reason or ("superseded" if after < FOREVER else "")
        found.append(_session(key, its + touches, opener, closes[end] if end else None, end or last, last, reason))
    return found


def _guess(start: int, last: int, records: list[Connection], limits: Sessions, boots: list[int], reached: int) -> str:
    """Why a session without an end is over, by event time alone; empty while it may go on. A device has no limits."""
    protocol = next((r.protocol for r in records if r.protocol), "")
    idle, longest = limits.idle.get(protocol, limits.idle[""]) * SECOND, limits.max_duration * SECOND
    due = [(last + idle, "idle_timeout")] * bool(idle) + [(start + longest, "max_duration")] * bool(longest)
    due = [(boot, "sensor_restart") for boot in boots if last < boot] + due * (not records[0].mac)
    over = [each for each in due if reached >= each[0] + limits.grace * SECOND]
    return min(over, key=lambda each: each[0], default=(0, ""))[1]


def _session(key: Key, mine: list[Connection], opener: Any, closer: Any, end: int, last: int, reason: str) -> Session:
    """The session of the records ``mine``. Its id is the sensor's, else made of the key and its opening or end."""
    start, missing = (opener.started or opener.time) if opener else None, MISSING if len(key) == 1 else ""
    text, skewed = json.dumps(key, separators=(",", ":")), bool(opener) and end < start
    name = key[1] if len(key) == 2 else str(uuid5(NAMESPACE, f"{text}@{start if opener else f'end@{end}'}"))
    one = Session(session_id=name, sensor="", key=text, started_at=start, last_activity_at=last, event_count=len(mine))
    for field in WHO:
        setattr(one, field, next((value for r in mine if (value := getattr(r, field))), getattr(one, field)))
    for said in sorted(mine, key=lambda r: (r.attributes.get("login") == "success", r.time, r.user)):
        one.user, one.user_seen_at = (said.user, said.time) if said.user else (one.user, one.user_seen_at)
        one.attributes |= said.attributes
    one.opened_by, one.connect_kind = (opener.record_id, opener.kind) if opener else ("", missing)
    if reason:
        one.state, one.end_reason, one.ended_at = "closed", reason if opener else "orphan", max(start or end, end)
        one.closed_by, one.disconnect_kind = (closer.record_id, closer.kind) if closer else ("", missing)
    if reason and opener:
        one.duration, one.duration_quality = (one.ended_at - start) / SECOND, "exact" if closer else "lower_bound"
    if skewed:
        one.flags, one.attributes = ["clock_skew"], {**one.attributes, "reported_end": rfc3339(end)}
    return one
