"""Our own records as JSON: what a sensor writes that was made for Sojourn (docs/formats/sojourn.md).

Three paths, each tried when the one before refused the message: msgspec straight into the record; the same but with
fields we do not know, which go to details; field by field, which is lenient and names the field that is wrong.
"""

from collections.abc import Container
from operator import attrgetter
from typing import Annotated

import msgspec
from msgspec import Meta

from producers.formats.decoded import Decoded, Rejection
from producers.formats.json_object import (
    TEXT_REPLACED,
    Fields,
    fields_of,
    not_utf8,
    object_text,
    without_lone_surrogates,
)
from producers.formats.labels import event_of
from producers.formats.moments import EXPECTED as TIME_EXPECTED
from producers.formats.moments import Moment, micros_of
from producers.formats.reading import read, readers_of, required_of
from schemas.dead_letters import Reason
from schemas.kinds import OTHER
from schemas.records import Action, Amendment, Connection, Event, may_be_key_of

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]


class OpenEvent(Event, kw_only=True, omit_defaults=True, gc=False):
    """An event as a sensor writes it: its times become microseconds in place, so nothing is copied."""

    time: Moment  # type: ignore[assignment]
    type: Int32 = 0
    started: Moment | None = None  # type: ignore[assignment]
    ended: Moment | None = None  # type: ignore[assignment]


class ClosedEvent(OpenEvent, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """The same, without fields we do not know."""


class OpenAmendment(Amendment, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """What is to be amended, as an API writes it; a name we do not know is refused, or the change would be lost."""

    terminate_at: Moment | None = None  # type: ignore[assignment]


class OpenConnection(Connection, kw_only=True, omit_defaults=True, gc=False):
    """A connection record as a sensor writes it."""

    time: Moment  # type: ignore[assignment]
    started: Moment | None = None  # type: ignore[assignment]
    ended: Moment | None = None  # type: ignore[assignment]
    first_time: Moment | None = None  # type: ignore[assignment]
    last_time: Moment | None = None  # type: ignore[assignment]
    amend: OpenAmendment | None = None


class ClosedConnection(OpenConnection, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """The same, without fields we do not know."""


#: What the reader of the log sets; from a sensor they are fields like any unknown one.
_EVENT_READERS = readers_of(OpenEvent, without={"offset", "index", "connection"})
_CONNECTION_READERS = readers_of(OpenConnection, without={"source", "positions"})
_EVENT_REQUIRED = required_of(OpenEvent)
_CONNECTION_REQUIRED = required_of(OpenConnection)

_closed_event = msgspec.json.Decoder(ClosedEvent).decode
_open_event = msgspec.json.Decoder(OpenEvent).decode
_closed_connection = msgspec.json.Decoder(ClosedConnection).decode
_open_connection = msgspec.json.Decoder(OpenConnection).decode

_OTHER_TIMES = ("started", "ended", "first_time", "last_time")
_other_times = attrgetter(*_OTHER_TIMES)

_WITH_KEY = (Action.AMEND, Action.REMOVE)
_NO_EVENT = Event(sensor="-", time=0)
_NO_DETAILS = _NO_EVENT.details
_BRACE = ord("{")


def decode_event(value: bytes) -> list[Decoded] | Rejection:
    """One event record."""
    if not value.isascii() and (rejection := not_utf8(value)):
        return rejection
    unknown: Fields = {}
    try:
        event: OpenEvent = _closed_event(value)
    except (msgspec.DecodeError, RecursionError):
        try:
            event = _open_event(value)
            unknown = _unknown(value, _EVENT_READERS)
        except (msgspec.DecodeError, RecursionError):
            return _event_field_by_field(value)
    if (
        event.offset
        or event.index
        or event.connection is not _NO_EVENT.connection
        or (event.details is not _NO_DETAILS and memoryview(event.details)[0] != _BRACE)
    ):
        return _event_field_by_field(value)
    field = "time"
    try:
        event.time = micros_of(event.time)
        if event.started is not None:
            field = "started"
            event.started = micros_of(event.started)
        if event.ended is not None:
            field = "ended"
            event.ended = micros_of(event.ended)
    except ValueError:
        return Rejection(Reason.BAD_TIME, field, TIME_EXPECTED)
    return _settled_event(event, unknown)


def decode_connection(value: bytes) -> list[Decoded] | Rejection:
    """One connection record, and the event that it is."""
    if not value.isascii() and (rejection := not_utf8(value)):
        return rejection
    unknown: Fields = {}
    try:
        connection: OpenConnection = _closed_connection(value)
    except (msgspec.DecodeError, RecursionError):
        try:
            connection = _open_connection(value)
            unknown = _unknown(value, _CONNECTION_READERS)
        except (msgspec.DecodeError, RecursionError):
            return _connection_field_by_field(value)
    if connection.source or connection.positions:
        return _connection_field_by_field(value)
    field = "time"
    try:
        connection.time = micros_of(connection.time)
        for field, moment in zip(_OTHER_TIMES, _other_times(connection), strict=True):
            if moment is not None:
                setattr(connection, field, micros_of(moment))
        if connection.amend is not None and connection.amend.terminate_at is not None:
            field = "amend"
            connection.amend.terminate_at = micros_of(connection.amend.terminate_at)
    except ValueError:
        return Rejection(Reason.BAD_TIME, field, TIME_EXPECTED)
    return _settled_connection(connection, unknown)


def _event_field_by_field(value: bytes) -> list[Decoded] | Rejection:
    fields, repaired = _fields_or_repaired(value)
    if isinstance(fields, Rejection):
        return fields
    values = read(fields, _EVENT_READERS, _EVENT_REQUIRED)
    if isinstance(values, Rejection):
        return values
    event = Event(**values)
    if repaired:
        event.flags = [*event.flags, TEXT_REPLACED]
    return _settled_event(event, _without_known(fields, _EVENT_READERS))


def _connection_field_by_field(value: bytes) -> list[Decoded] | Rejection:
    fields, repaired = _fields_or_repaired(value)
    if isinstance(fields, Rejection):
        return fields
    values = read(fields, _CONNECTION_READERS, _CONNECTION_REQUIRED)
    if isinstance(values, Rejection):
        return values
    values["action"] = Action(values["action"])
    decoded = _settled_connection(Connection(**values), _without_known(fields, _CONNECTION_READERS))
    if repaired and not isinstance(decoded, Rejection):
        decoded[0].event.flags = [TEXT_REPLACED]
    return decoded


def _settled_event(event: Event, unknown: Fields) -> list[Decoded]:
    event.kind = event.kind.lower() or OTHER
    event.protocol = event.protocol.lower()
    if unknown:
        details = fields_of(bytes(event.details))
        assert not isinstance(details, Rejection)  # It is part of a message that was an object all through.
        for name, raw in unknown.items():
            # What the sensor put into details itself keeps its name.
            details["sojourn.field." + name if name in details else name] = raw
        event.details = object_text(details)
    return [Decoded(event)]


def _settled_connection(connection: Connection, unknown: Fields) -> list[Decoded] | Rejection:
    connection.protocol = connection.protocol.lower()
    if connection.session_id:
        # An id names its session for ever; only Suricata's flows have both.
        connection.process = ""
    action = connection.action
    named = connection.session_id or connection.mac or connection.process or connection.client_ip
    if action is not Action.SENSOR_START and not named:
        return Rejection(Reason.MISSING_FIELD, "session_id", "session_id, mac or client_ip: which connection it is")
    if action is Action.COMPLETE:
        if connection.started is None:
            return Rejection(Reason.MISSING_FIELD, "started", TIME_EXPECTED + " (when a complete connection began)")
        if connection.ended is None:
            connection.ended = connection.time
    elif action is Action.ACTIVITY:
        if connection.first_time is None:
            connection.first_time = connection.time
        if connection.last_time is None:
            connection.last_time = connection.time
    elif action is Action.SENSOR_START and not connection.boot_id:
        return Rejection(Reason.MISSING_FIELD, "boot_id", "the id of the sensor's new life (sensor_start)")
    elif (action is Action.AMEND or action is Action.REMOVE or connection.key) and (why := _cannot_write(connection)):
        return why
    return [Decoded(event_of(connection, unknown), connection)]


def _cannot_write(connection: Connection) -> Rejection | None:
    """Why a record cannot change the session it names."""
    action = connection.action
    if not connection.session_id and (action is not Action.REMOVE or not connection.mac):
        expected = "session_id or mac: what to remove" if action is Action.REMOVE else "session_id: which session it is"
        return Rejection(Reason.MISSING_FIELD, "session_id", expected)
    if action is Action.AMEND and connection.amend is None and not connection.attributes:
        return Rejection(Reason.MISSING_FIELD, "amend", "amend or attributes: what is to be set")
    if connection.key and (action not in _WITH_KEY or not may_be_key_of(connection)):
        return Rejection(Reason.BAD_VALUE, "key", "the session's key as its row has it (amend, remove)")
    return None


def _fields_or_repaired(value: bytes) -> tuple[Fields | Rejection, bool]:
    """The object's fields, with U+FFFD for escapes that are no character; whether there were any."""
    fields = fields_of(value)
    if isinstance(fields, Rejection) and (repaired := without_lone_surrogates(value)) is not None:
        return fields_of(repaired), True
    return fields, False


def _unknown(value: bytes, known: Container[str]) -> Fields:
    fields = fields_of(value)
    return {} if isinstance(fields, Rejection) else _without_known(fields, known)


def _without_known(fields: Fields, known: Container[str]) -> Fields:
    return {name: raw for name, raw in fields.items() if name not in known}
