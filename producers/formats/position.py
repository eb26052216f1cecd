"""What every format needs after its decoder: its place in the log, its id, code and times."""

import msgspec

from producers.formats.decoded import Decoded, Decoder, Rejection, Source
from producers.formats.years import YEAR_GUESSED, settle_year
from schemas.dead_letters import Reason
from schemas.kinds import CODES
from schemas.records import INDEX_BITS, Connection, Event
from schemas.times import EARLIEST, LATEST

TIME_REPLACED = "time_replaced"

_NO_VALUE = Rejection(Reason.NOT_AN_OBJECT, expected="a JSON object; the message has no value")
_object_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def decode(
    decoder: Decoder, value: bytes | None, offset: int, broker_time: int, source: Source, record_id: str = ""
) -> list[Decoded] | Rejection:
    """The records of one message, complete: ready for ``events`` and for ``connections``.

    ``broker_time`` (microseconds UTC) stands in for an event time outside ``schemas.times.EARLIEST`` and ``LATEST``.
    ``record_id`` is the message's header of that name: with it the ids are ``<header>/<index>``; without it a record
    keeps the id its sensor gave, else it is ``epoch/topic/partition/offset/index``. Deterministic: the same message
    gives the same records whoever reads it.
    """
    if value is None:
        return _NO_VALUE
    decoded = decoder(value)
    if isinstance(decoded, Rejection):
        return decoded
    for index, record in enumerate(decoded):
        event = record.event
        event.offset = offset
        event.index = index
        if event.type == 0:
            event.type = CODES.get(event.kind, 0)
        if record_id:
            event.record_id = f"{record_id}/{index}"
        elif not event.record_id:
            event.record_id = f"{source.text}/{offset}/{index}"
        if event.flags and YEAR_GUESSED in event.flags:
            settle_year(record, broker_time)
        connection = record.connection
        if connection is not None:
            connection.record_id = event.record_id
            connection.source = source.text
            connection.positions = [offset << INDEX_BITS | index]
        if not (
            EARLIEST <= event.time <= LATEST
            and (event.started is None or EARLIEST <= event.started <= LATEST)
            and (event.ended is None or EARLIEST <= event.ended <= LATEST)
        ):
            _replace_times(event, broker_time)
        if connection is not None:
            _bound_times(connection, broker_time)
    return decoded


def _replace_times(event: Event, broker_time: int) -> None:
    """A wild time becomes the broker's, a wild start or end unknown; what was sent stays in details (microseconds)."""
    details = _object_of(event.details)
    if not EARLIEST <= event.time <= LATEST:
        details["sojourn.original_time"] = msgspec.Raw(_encode(event.time))
        event.time = broker_time
    if event.started is not None and not EARLIEST <= event.started <= LATEST:
        details["sojourn.original_started"] = msgspec.Raw(_encode(event.started))
        event.started = None
    if event.ended is not None and not EARLIEST <= event.ended <= LATEST:
        details["sojourn.original_ended"] = msgspec.Raw(_encode(event.ended))
        event.ended = None
    event.details = msgspec.Raw(_encode(details))
    event.flags = [*event.flags, TIME_REPLACED]


def _bound_times(connection: Connection, broker_time: int) -> None:
    """The same for the connection record of the event."""
    if not EARLIEST <= connection.time <= LATEST:
        connection.time = broker_time
    if connection.started is not None and not EARLIEST <= connection.started <= LATEST:
        connection.started = None
    if connection.ended is not None and not EARLIEST <= connection.ended <= LATEST:
        connection.ended = None
    if connection.first_time is not None and not EARLIEST <= connection.first_time <= LATEST:
        connection.first_time = connection.time
    if connection.last_time is not None and not EARLIEST <= connection.last_time <= LATEST:
        connection.last_time = connection.time
