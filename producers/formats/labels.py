"""The event that a connection record is: which kind, by its action and label, and what goes to details."""

from collections.abc import Mapping
from operator import attrgetter
from types import MappingProxyType

import msgspec

from producers.formats.json_object import Fields, object_text
from schemas.kinds import CLOSE, CONNECT, OTHER
from schemas.records import Action, Connection, Event

_KIND_OF_ACTION: Mapping[Action, str] = MappingProxyType(
    {
        Action.CONNECT: CONNECT,
        Action.DISCONNECT: CLOSE,
        Action.COMPLETE: "flow",
        Action.SENSOR_START: "service.start",
    }
)

#: NetAlertX's labels, which compare without case (session-semantics: device pairing).
_KIND_OF_LABEL: Mapping[str, str] = MappingProxyType(
    {
        "new device": "device.new",
        "connected": "device.up",
        "down reconnected": "device.up",
        "device down": "device.down",
        "disconnected": "device.lost",
        "ip changed": "device.ip",
    }
)

#: Fields of a connection that an event has no field for: they stand in its details under their own names.
_ONLY_CONNECTION = (
    "kind",
    "client_name",
    "server_name",
    "user_id",
    "server_user",
    "boot_id",
    "process",
    "disconnect_kind",
    "attributes",
    "amend",
    "key",
)
_only_connection = attrgetter(*_ONLY_CONNECTION)

_DETAILS = MappingProxyType({action: msgspec.Raw(msgspec.json.encode({"action": action})) for action in Action})
_encode = msgspec.json.Encoder().encode


def kind_of(connection: Connection) -> str:
    """The event's kind; a label decides only for devices, elsewhere it is free text."""
    if connection.mac and connection.action is not Action.COMPLETE:
        label = connection.kind.lower()
        if label.startswith("voided"):
            return "device.voided"
        kind = _KIND_OF_LABEL.get(label)
        if kind is not None:
            return kind
    return _KIND_OF_ACTION.get(connection.action, OTHER)


def event_of(connection: Connection, unknown: Fields | None = None) -> Event:
    """The row of ``events`` for a connection record; ``unknown`` are fields of the message that no record has."""
    return Event(
        sensor=connection.sensor,
        time=connection.time,
        kind=kind_of(connection),
        started=connection.started,
        ended=connection.ended,
        session_id=connection.session_id,
        token=connection.token,
        location=connection.location,
        category=connection.category,
        protocol=connection.protocol,
        client_ip=connection.client_ip,
        client_port=connection.client_port,
        server_ip=connection.server_ip,
        server_port=connection.server_port,
        mac=connection.mac,
        user=connection.user,
        data=connection.kind,
        container_id=connection.container_id,
        record_id=connection.record_id,
        details=_details(connection, unknown),
    )


def _details(connection: Connection, unknown: Fields | None) -> msgspec.Raw:
    values = _only_connection(connection)
    if not (unknown or any(values)):
        return _DETAILS[connection.action]
    said = [name for name, value in zip(_ONLY_CONNECTION, values, strict=True) if value]
    fields = dict(unknown or {})
    for name in ("action", *said):
        fields[name] = msgspec.Raw(_encode(getattr(connection, name)))
    return object_text(fields)
