"""The connection record of an event, as ``events`` keeps it: what sessions can be made of once more (``reconcile``)."""

import msgspec

from producers.formats import Decoded
from schemas.records import Connection, Event, position_of, session_key
from stream_processors.activity import activity_of

#: An event with addresses that belongs to no session.
_ALONE = msgspec.Raw(b'"alone"')
_NOTHING = Event(sensor="-", time=0).connection

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Connection).decode


def stored_connection(decoded: Decoded) -> msgspec.Raw:
    """What goes into the column: JSON without what other columns say (position, id); nothing for mere activity."""
    connection = decoded.connection
    if connection is None:
        return _ALONE if decoded.alone else _NOTHING
    connection.source, connection.positions, connection.record_id = "", [], ""
    return msgspec.Raw(_encode(connection))


def connection_of(stored: str, event: Event, source: str) -> Connection | None:
    """The connection record of a row of ``events``, as route made it; None when it belongs to no session.

    ``source`` is epoch/topic/partition. Raises msgspec.DecodeError when the column holds something else.
    """
    if stored == "alone":
        return None
    if not stored:
        return activity_of(event, source) if session_key(event) else None
    connection = _decode(stored)
    connection.source = source
    connection.positions = [position_of(event.offset, event.index)]
    connection.record_id = event.record_id
    return connection
