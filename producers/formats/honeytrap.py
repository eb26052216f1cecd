"""Honeytrap's Kafka messages (docs/formats/honeytrap.md; Honeytrap facts 4.5).

Nearly all of its services say nothing when a connection opens or closes: any event of a connection opens its session,
and silence ends it. Where a service gives its connections an id, the second in which they began is in that id.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from producers.formats.decoded import Decoded, Rejection
from producers.formats.json_object import Fields, not_utf8
from producers.formats.lines import LineReader, fields_or_repaired, text_of
from producers.formats.moments import Moment
from producers.formats.xid import second_of
from schemas.kinds import CLOSE, CONNECT, OTHER
from schemas.records import Action, Connection, Event, Port
from schemas.times import DAY, SECOND

LOGIN = "login"
COMMAND = "command"
#: Honeytrap's own number for a login of which it does not say how it went (facts 4.1).
_LOGIN_CODE = 51
_SESSION_ID = ".sessionid"
#: An id that is older than this when it is used was not made for this connection.
_OLDEST = 7 * DAY


class Message(msgspec.Struct, gc=False):
    """What every message may have; the rest is the service's own."""

    date: Moment | None = None
    sensor: str = ""
    category: str = ""
    type: str = ""
    token: str = ""
    protocol: str = ""
    source_ip: str = msgspec.field(name="source-ip", default="")
    source_port: Port = msgspec.field(name="source-port", default=0)
    destination_ip: str = msgspec.field(name="destination-ip", default="")
    destination_port: Port = msgspec.field(name="destination-port", default=0)


_PLACED = ("date", "sensor", "token", "category", "source-ip", "source-port", "destination-ip", "destination-port")
_messages = LineReader(Message, "date", _PLACED, lambda message: None, required=("sensor",))

_KIND_OF_TYPE: Mapping[str, str] = MappingProxyType(
    {
        "connect": CONNECT,
        "password-authentication": LOGIN,
        "publickey-authentication": LOGIN,
        "redis-command": COMMAND,
        "shell": COMMAND,
        "exec": COMMAND,
        "ssh-session": CLOSE,
        "error": "error",
        "fatal": "error",
    }
)
#: Kinds that are about many connections, or none.
_ALONE = frozenset({"alert", "ping"})
#: Types that only come once a login has worked: nothing else says so.
_BEHIND_LOGIN = frozenset({"ssh-channel", "ssh-request", "ssh-session", "shell", "exec", "session"})
_FORWARDS = (".direct-tcpip.host-to-connect", ".forwarded-tcpip.host-to-connect")
#: What a message says best, in order: the fields of its service, then those of every service.
_SAYING = (".command", ".url", ".line", ".request-type", ".subsystem", ".channel-type")


def decode_honeytrap(value: bytes) -> list[Decoded] | Rejection:
    """One message: an event, and the sign of life that it is. Text and other JSON that is no object is refused."""
    if rejection := not_utf8(value):
        return rejection
    fields, repaired = fields_or_repaired(value)
    if isinstance(fields, Rejection):
        return fields
    read = _messages.read_fields(fields, repaired)
    if isinstance(read, Rejection):
        return read
    message, time = read.line, read.time
    service = _service_of(message)
    session_id = _session_id(fields, service)
    event = Event(
        sensor=f"{message.sensor}/{message.token}" if message.token else message.sensor,
        time=time,
        kind=_kind_of(message, fields),
        session_id=session_id,
        token=message.token,
        category=message.category,
        protocol=service or message.protocol.lower(),
        client_ip=message.source_ip,
        client_port=message.source_port,
        server_ip=message.destination_ip,
        server_port=message.destination_port,
        user=text_of(fields, f"{service}.username"),
        data=_saying(message, fields),
    )
    if event.kind == COMMAND:
        event.action = event.data
    elif event.kind == LOGIN:
        event.type = _LOGIN_CODE
    _messages.finish(event, read)
    if not session_id and (not message.source_ip or (message.sensor != "services" and event.kind != CONNECT)):
        # A port scan, a heartbeat.
        return [Decoded(event, alone=True)]
    return [Decoded(event, _connection(event, message.type))]


def _connection(event: Event, type_: str) -> Connection:
    """What the event says about its connection."""
    time = event.time
    began = time
    if event.session_id and (second := second_of(event.session_id)) is not None:
        # The same for every event of the session, whichever comes first.
        began = second * SECOND if time - _OLDEST <= second * SECOND <= time else time
    connection = Connection(
        action=Action.ACTIVITY,
        opens=True,
        sensor=event.sensor,
        time=time,
        first_time=began,
        last_time=time,
        session_id=event.session_id,
        protocol=event.protocol,
        client_ip=event.client_ip,
        client_port=event.client_port,
        server_ip=event.server_ip,
        server_port=event.server_port,
        user=event.user,
        token=event.token,
        category=event.category,
        attributes={"authenticated": "true"} if type_ in _BEHIND_LOGIN else {},
    )
    if event.kind == CLOSE:
        connection.action, connection.opens = Action.DISCONNECT, False
        connection.started = began if began < time else None
        connection.first_time = connection.last_time = None
    elif event.kind == CONNECT and not event.session_id:
        # Addresses come again: only a real opening tells two connections between them apart.
        connection.action, connection.opens = Action.CONNECT, False
        connection.first_time = connection.last_time = None
    return connection


def _service_of(message: Message) -> str:
    """Its name stands in category, but for vnc's "connect", where it is the sensor."""
    return (message.sensor if message.category == "connect" else message.category).lower()


def _session_id(fields: Fields, service: str) -> str:
    own = text_of(fields, service + _SESSION_ID)
    if own:
        return own
    # docker and https speak in http's fields.
    return next((text for name in fields if name.endswith(_SESSION_ID) and (text := text_of(fields, name))), "")


def _kind_of(message: Message, fields: Fields) -> str:
    kind = _KIND_OF_TYPE.get(message.type)
    if kind is not None:
        return kind
    if message.category == "heartbeat":
        return "ping"
    if message.category == "portscan" or "portscan.ports" in fields:
        return "alert"
    service = _service_of(message)
    if service == "ldap" and text_of(fields, "ldap.request-type") == "unbind":
        return CLOSE
    if service + ".command" in fields:
        return COMMAND
    if any(service + name in fields for name in _FORWARDS):
        return "forward"
    return OTHER


def _saying(message: Message, fields: Fields) -> str:
    service = _service_of(message)
    for name in _SAYING:
        text = text_of(fields, service + name) or (text_of(fields, "http" + name) if name == ".url" else "")
        if text:
            method = text_of(fields, "http.method") if name == ".url" else ""
            return f"{method} {text}".strip()
    return text_of(fields, "message") or message.type
