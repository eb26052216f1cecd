"""The rules of session-semantics once more, the slow way: all records of a key at hand, sorted, paired by the text.

Shares no code with the session machine; tests compare the two.
"""

from collections import defaultdict
from typing import NamedTuple

from schemas.records import Action, Connection
from schemas.settings import Sessions

SECOND = 1_000_000
FOREVER = 1 << 62
MISSING = "<missing event>"


class Row(NamedTuple):
    """What a session must look like, whatever the order of arrival. Times in microseconds UTC."""

    key: str
    started_at: int | None
    ended_at: int | None
    end_reason: str
    last_activity_at: int
    event_count: int
    connect_kind: str
    disconnect_kind: str


def sessions_of(records: list[Connection], limits: Sessions, reached: int) -> list[Row]:
    """All sessions of ``records`` when every sensor's event time has come to ``reached`` (microseconds UTC)."""
    keys: dict[tuple[str, ...], dict[tuple[str, int], Connection]] = defaultdict(dict)
    for record in records:
        if record.session_id:
            key: tuple[str, ...] = (record.sensor, record.session_id)
        elif record.mac:
            key = (record.mac,)
        else:
            ends = f"{record.client_ip}:{record.client_port}", f"{record.server_ip}:{record.server_port}"
            key = (record.sensor, record.protocol, *ends)
        keys[key][record.source, record.positions[0]] = record
    rows = []
    for key, once in keys.items():
        ordered = sorted(once.values(), key=lambda record: (record.time, record.record_id))
        rows += _one(key, ordered, limits, reached) if len(key) == 2 else _many(key, ordered, limits, reached)
    return sorted(rows, key=str)


def _one(key: tuple[str, ...], records: list[Connection], limits: Sessions, reached: int) -> list[Row]:
    """The sensor's id: all records are one session."""
    connects = [one for one in records if one.action is Action.CONNECT]
    closes = [one for one in records if one.action is Action.DISCONNECT]
    last, total, name = max(one.time for one in records), len(records), "/".join(key)
    if not connects:
        if not closes:
            return []
        return [Row(name, None, closes[-1].time, "orphan", last, total, "", closes[-1].kind)]
    start, kind = connects[0].time, connects[0].kind
    if closes:
        return [Row(name, start, max(start, closes[-1].time), "disconnect", last, total, kind, closes[-1].kind)]
    return [_open(name, start, last, total, kind, records[0].protocol, limits, reached)]


def _many(key: tuple[str, ...], records: list[Connection], limits: Sessions, reached: int) -> list[Row]:
    """No id: an opening pairs with the next event that is strictly later."""
    device, name, protocol = len(key) == 1, "/".join(key), records[0].protocol
    opens = {
        t: [r for r in records if r.action is Action.CONNECT and r.time == t] for t in _times(records, Action.CONNECT)
    }
    closes = {
        t: [r for r in records if r.action is Action.DISCONNECT and r.time == t]
        for t in _times(records, Action.DISCONNECT)
    }
    # An opening, or an orphan's end; whether it is an opening; its end; the time of the opening that superseded it.
    spans: list[tuple[int, bool, int | None, int | None]] = []
    used: set[int] = set()
    for start in opens:
        following = min((t for t in [*opens, *closes] if t > start), default=None)
        if start in closes and start not in used and not device:
            following = start
        if following in closes:
            used.add(following)
            spans.append((start, True, following, None))
        else:
            spans.append((start, True, None, following))
    spans += [(time, False, time, None) for time in closes if time not in used]
    spans.sort(key=lambda span: span[:2])
    rows = []
    for number, (start, opened, end, following) in enumerate(spans):
        later = [span[0] for span in spans[number + 1 :]]
        until = min([*later, FOREVER if end is None else end + round(limits.grace * SECOND) + 1])
        mine = [r for r in records if r.action is Action.ACTIVITY and start <= r.time < until]
        orphan = not opened
        last = max([start, end or start, *[r.time for r in mine if end is None or r.time < end]])
        total = len(mine) + (len(closes[end]) if end is not None else 0) + (0 if orphan else len(opens[start]))
        kind = MISSING if orphan and device else "" if orphan else _name(opens[start])
        if end is not None:
            rows.append(
                Row(
                    name,
                    None if orphan else start,
                    end,
                    "orphan" if orphan else "disconnect",
                    last,
                    total,
                    kind,
                    closes[end][0].kind,
                )
            )
            continue
        horizon = reached if following is None else following - 1 + round(limits.grace * SECOND)
        row = _open(name, start, last, total, kind, "device" if device else protocol, limits, horizon)
        if following is not None:
            row = row._replace(
                end_reason=row.end_reason or "superseded", ended_at=last, disconnect_kind=MISSING if device else ""
            )
        rows.append(row)
    return rows


def _open(
    name: str, start: int, last: int, total: int, kind: str, protocol: str, limits: Sessions, reached: int
) -> Row:
    idle = 0.0 if protocol == "device" else limits.idle.get(protocol, limits.idle[""])
    longest, grace = 0.0 if protocol == "device" else limits.max_duration, limits.grace
    ends = [(last + idle * SECOND, "idle_timeout")] if idle and reached >= last + (idle + grace) * SECOND else []
    if longest and reached >= start + (longest + grace) * SECOND:
        ends.append((start + longest * SECOND, "max_duration"))
    reason = min(ends)[1] if ends else ""
    return Row(name, start, last if reason else None, reason, last, total, kind, "")


def _times(records: list[Connection], action: Action) -> list[int]:
    return sorted({record.time for record in records if record.action is action})


def _name(openers: list[Connection]) -> str:
    return min(openers, key=lambda one: (one.kind != "New Device", one.record_id)).kind
