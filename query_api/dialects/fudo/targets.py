"""The session that is to be changed, as those that write about it must name it."""

import msgspec

from producers.writes import Target
from query_api import sql
from query_api.dialects.fudo.reading import of_id
from query_api.errors import NotFoundError
from query_api.paging import Slice
from query_api.reader import Reader
from query_api.shapes import Member, Shape
from query_api.sources import SESSIONS


class Found(msgspec.Struct, frozen=True):
    target: Target
    retention_locked: bool


class _Row(msgspec.Struct):
    sensor: str
    session_id: str
    key: str
    retention_locked: int


_SHAPE = Shape(
    (
        Member("sensor", "sensor"),
        Member("session_id", "session_id"),
        Member("key", "key"),
        Member("retention_locked", "toUInt8(retention_locked)"),
    )
)
_decode = msgspec.json.Decoder(_Row).decode


async def find(reader: Reader, session_id: str) -> Found:
    """The session that a read of this id would show. Raises NotFoundError."""
    row = await reader.read(sql.page(SESSIONS, of_id(session_id), _SHAPE, Slice(1)))
    if not row:
        raise NotFoundError("Object not found")
    found = _decode(row)
    return Found(Target(found.sensor, found.session_id, found.key), bool(found.retention_locked))
