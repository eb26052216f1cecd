"""Sessions that begin and end within a moment: their only version, written from the two records themselves.

Scanners and guessers of passwords make mostly such sessions. A ``Session`` that is made, filled, filled again and
encoded costs twice as much as this.
"""

import msgspec

from schemas.records import Connection, DurationQuality, EndReason, State
from schemas.times import SECOND
from stream_processors.machine.merging import names_more, says_more
from stream_processors.machine.revisions import EXACT_RANK

_CLOSED = State.CLOSED.value
_DISCONNECT = EndReason.DISCONNECT.value
_EXACT = DurationQuality.EXACT.value


class _Short(msgspec.Struct, omit_defaults=True, gc=False):
    """The fields of ``Session`` that such a session can have, with their defaults there; made to be encoded."""

    session_id: str
    sensor: str
    key: str
    state: str
    end_reason: str
    duration_quality: str
    started_at: int
    ended_at: int
    last_activity_at: int
    duration: float
    event_count: int
    revision: int
    version: int
    positions: dict[str, int]
    protocol: str = ""
    client_ip: str = ""
    client_port: int = 0
    server_ip: str = ""
    server_port: int = 0
    token: str = ""
    connect_kind: str = ""
    disconnect_kind: str = ""
    created_at: int = 0
    modified_at: int = 0
    opened_by: str = ""
    closed_by: str = ""


_encode = msgspec.json.Encoder().encode


def short_version(key: bytes, opening: Connection, opened: int, closing: Connection, closed: int) -> bytes | None:
    """The session that ``opening`` and ``closing`` make, as JSON of a ``Session``; what the machine would come to.

    ``opened`` and ``closed`` are their broker times, microseconds UTC. None when the two records say more than a short
    session can hold, contradict each other, or are one record twice.
    """
    began, ended = opening.time, closing.time
    opened_at, closed_at = opening.positions, closing.positions
    if ended < began or len(closed_at) != 1 or says_more(opening) or says_more(closing) or names_more(opening, closing):
        return None
    positions = {opening.source: opened_at[-1]} if opened_at else {}
    if positions.get(closing.source, -1) >= closed_at[0]:
        return None
    positions[closing.source] = closed_at[0]
    return _encode(
        _Short(
            opening.session_id,
            opening.sensor,
            key.decode(),
            _CLOSED,
            _DISCONNECT,
            _EXACT,
            began,
            ended,
            ended,
            (ended - began) / SECOND,
            (len(opened_at) or 1) + 1,
            EXACT_RANK | ended,
            2,
            positions,
            opening.protocol,
            opening.client_ip,
            opening.client_port,
            opening.server_ip,
            opening.server_port,
            opening.token,
            opening.kind,
            closing.kind,
            opened,
            closed if closed > opened else opened,
            opening.record_id,
            closing.record_id,
        )
    )
