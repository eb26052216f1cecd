"""One line of Cowrie's log as msgspec reads it: which fields there are, and which of them have a place in a record."""

from typing import Annotated

import msgspec
from msgspec import Meta

from producers.formats.moments import Moment
from schemas.records import Port

#: A field that is not looked into, JSON text.
Kept = msgspec.Raw | msgspec.UnsetType


class Line(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """Every field Cowrie is known to write, so that a line is read once.

    First those that have a place in the record, then those that are details as they stand: when the former are put
    back to their defaults, the line encoded again is the details. Fields nobody listed take the slow path.
    """

    eventid: str = ""
    sensor: str = ""
    timestamp: Moment | None = None
    session: str = ""
    uuid: str = ""
    protocol: str = ""
    src_ip: str = ""
    src_port: Port = 0
    dst_ip: str = ""
    dst_port: Port = 0
    username: str = ""
    input: str = ""
    message: str = ""

    duration: Kept = msgspec.UNSET
    duration_ms: Kept = msgspec.UNSET
    password: Kept = msgspec.UNSET
    version: Kept = msgspec.UNSET
    hassh: Kept = msgspec.UNSET
    hasshAlgorithms: Kept = msgspec.UNSET  # noqa: N815 - the log's own name, as are those below
    kexAlgs: Kept = msgspec.UNSET  # noqa: N815
    keyAlgs: Kept = msgspec.UNSET  # noqa: N815
    encCS: Kept = msgspec.UNSET  # noqa: N815
    macCS: Kept = msgspec.UNSET  # noqa: N815
    compCS: Kept = msgspec.UNSET  # noqa: N815
    langCS: Kept = msgspec.UNSET  # noqa: N815
    width: Kept = msgspec.UNSET
    height: Kept = msgspec.UNSET
    name: Kept = msgspec.UNSET
    value: Kept = msgspec.UNSET
    arch: Kept = msgspec.UNSET
    ttylog: Kept = msgspec.UNSET
    size: Kept = msgspec.UNSET
    shasum: Kept = msgspec.UNSET
    duplicate: Kept = msgspec.UNSET
    url: Kept = msgspec.UNSET
    outfile: Kept = msgspec.UNSET
    destfile: Kept = msgspec.UNSET
    filename: Kept = msgspec.UNSET
    data: Kept = msgspec.UNSET
    id: Kept = msgspec.UNSET
    orig_ip: Kept = msgspec.UNSET
    orig_port: Kept = msgspec.UNSET
    realm: Kept = msgspec.UNSET
    fingerprint: Kept = msgspec.UNSET
    key: Kept = msgspec.UNSET
    type: Kept = msgspec.UNSET
    late: Kept = msgspec.UNSET
    system: Kept = msgspec.UNSET
    isError: Kept = msgspec.UNSET  # noqa: N815
    format: Kept = msgspec.UNSET


class Given(msgspec.Struct, gc=False):
    """The fields a line cannot do without, for the slow path to ask for."""

    eventid: Annotated[str, Meta(min_length=1)]
    sensor: Annotated[str, Meta(min_length=1)]
    timestamp: Moment


#: Fields that leave details because they have their place: those that ``set_aside`` takes out.
PLACED = frozenset(Line.__struct_fields__[1:13])
SERVER = frozenset({"dst_ip", "dst_port"})


def set_aside(line: Line, forward: bool) -> None:
    """Takes out of the line what has its place in the record; a forward's dst has none, it is not the sensor."""
    line.sensor = line.session = line.uuid = line.protocol = line.src_ip = ""
    line.username = line.input = line.message = ""
    line.timestamp = None
    line.src_port = 0
    if not forward:
        line.dst_ip = ""
        line.dst_port = 0
