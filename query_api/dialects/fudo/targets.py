"""The session that is to be changed, as those that write about it must name it."""

from collections.abc import Sequence

import msgspec

from producers.writes import Target
from query_api import sql
from query_api.documents import shown
from query_api.errors import NotFoundError
from query_api.filters import Filter
from query_api.paging import SIZE_LIMIT, Slice
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
_decode = msgspec.json.Decoder(list[_Row]).decode


async def find(reader: Reader, session_id: str) -> Found:
    """The session that a read of this id would show. Raises NotFoundError."""
    return (await find_all(reader, [session_id]))[0]


async def find_all(reader: Reader, ids: Sequence[str]) -> list[Found]:
    """The same of several, in their order. Raises NotFoundError when one of them is missing."""
    chosen = Filter("session_id IN {ids:Array(String)}", {"ids": list(ids)})
    rows = _decode(b"[" + await reader.read(sql.page(SESSIONS, chosen, _SHAPE, Slice(SIZE_LIMIT))) + b"]")
    newest: dict[str, _Row] = {}
    for row in rows:
        newest.setdefault(row.session_id, row)
    missing = [one for one in ids if one not in newest]
    if missing:
        raise NotFoundError("Object not found" if len(ids) == 1 else f"Object not found: {shown(missing[0])}")
    found = [newest[one] for one in ids]
    return [Found(Target(row.sensor, row.session_id, row.key), bool(row.retention_locked)) for row in found]
