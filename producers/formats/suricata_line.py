"""One line of Suricata's eve.json as msgspec reads it, and which session it belongs to."""

from typing import Annotated

import msgspec
from msgspec import Meta

from producers.formats.lines import Kept
from producers.formats.moments import Moment
from schemas.records import Port
from schemas.times import SECOND

FlowId = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class FlowLine(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A record of the type ``flow``: every field that it is known to have, so that it is read once."""

    timestamp: Kept = msgspec.UNSET
    event_type: str = ""
    host: str = ""
    src_ip: str = ""
    src_port: Port = 0
    dest_ip: str = ""
    dest_port: Port = 0
    flow_id: FlowId = 0
    proto: str = ""
    app_proto: str = ""

    flow: Kept = msgspec.UNSET
    tcp: Kept = msgspec.UNSET
    in_iface: Kept = msgspec.UNSET
    vlan: Kept = msgspec.UNSET
    community_id: Kept = msgspec.UNSET
    ether: Kept = msgspec.UNSET
    icmp_type: Kept = msgspec.UNSET
    icmp_code: Kept = msgspec.UNSET
    response_icmp_type: Kept = msgspec.UNSET
    response_icmp_code: Kept = msgspec.UNSET
    metadata: Kept = msgspec.UNSET
    parent_id: Kept = msgspec.UNSET
    ip_v: Kept = msgspec.UNSET
    app_proto_ts: Kept = msgspec.UNSET
    app_proto_tc: Kept = msgspec.UNSET
    app_proto_orig: Kept = msgspec.UNSET
    app_proto_expected: Kept = msgspec.UNSET


class EveLine(FlowLine, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A record of any type, and the objects that the common types have."""

    timestamp: Moment | None = None  # type: ignore[assignment]
    direction: str = ""

    alert: Kept = msgspec.UNSET
    http: Kept = msgspec.UNSET
    dns: Kept = msgspec.UNSET
    tls: Kept = msgspec.UNSET
    ssh: Kept = msgspec.UNSET
    smtp: Kept = msgspec.UNSET
    fileinfo: Kept = msgspec.UNSET
    files: Kept = msgspec.UNSET
    anomaly: Kept = msgspec.UNSET
    stats: Kept = msgspec.UNSET
    tx_id: Kept = msgspec.UNSET
    pcap_cnt: Kept = msgspec.UNSET
    pkt_src: Kept = msgspec.UNSET


class FlowPart(msgspec.Struct, gc=False):
    """What is looked at inside ``flow``; alerts since Suricata 7 have the endpoints of the flow there, too."""

    start: Moment | None = None
    end: Moment | None = None
    state: str = ""
    reason: str = ""
    src_ip: str = ""
    src_port: Port = 0
    dest_ip: str = ""
    dest_port: Port = 0


def set_all_aside(line: EveLine) -> None:
    """The same, with the timestamp."""
    set_aside(line)
    line.timestamp = None


#: Fields that leave details because records have a place for them.
PLACED = ("host", "src_ip", "src_port", "dest_ip", "dest_port")
ENDPOINTS = frozenset(PLACED[1:])


def set_aside(line: FlowLine) -> None:
    """Takes out of the line what has its place in the record; a flow's time is its end, not its timestamp."""
    line.host = line.src_ip = line.dest_ip = ""
    line.src_port = line.dest_port = 0


def session_id(flow_id: int, start: int) -> str:
    """An id that no other flow ever gets: flow_id and the second in which the flow began.

    flow_id alone comes again: of the start it has 15 bits of the second up to Suricata 6 and 3 bits since, beside a
    hash of the addresses. A ping every minute between two hosts meets its own flow_id again within weeks.
    """
    return f"{flow_id}-{start // SECOND}"
