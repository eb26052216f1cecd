"""One line of Suricata's eve.json as msgspec reads it, and which session it belongs to."""

from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta

from producers.formats.lines import Kept
from producers.formats.moments import Moment
from schemas.records import Port
from schemas.times import SECOND, parse_time

#: Where the six digits after the second stand in ``2018-07-05T15:01:09.820360-0400``.
_FRACTION, _FRACTION_END = 20, 26

FlowId = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class TimedLine(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A record as Suricata writes it: every field that the common types are known to have, so that it is read once.

    About in the order in which they are written: a field is looked for behind the one before it.
    """

    timestamp: str = ""
    flow_id: FlowId = 0
    in_iface: Kept = msgspec.UNSET
    event_type: str = ""
    vlan: Kept = msgspec.UNSET
    src_ip: str = ""
    src_port: Port = 0
    dest_ip: str = ""
    dest_port: Port = 0
    proto: str = ""
    ip_v: Kept = msgspec.UNSET
    pkt_src: Kept = msgspec.UNSET
    community_id: Kept = msgspec.UNSET
    ether: Kept = msgspec.UNSET
    icmp_type: Kept = msgspec.UNSET
    icmp_code: Kept = msgspec.UNSET
    response_icmp_type: Kept = msgspec.UNSET
    response_icmp_code: Kept = msgspec.UNSET
    metadata: Kept = msgspec.UNSET
    parent_id: Kept = msgspec.UNSET
    tx_id: Kept = msgspec.UNSET
    pcap_cnt: Kept = msgspec.UNSET

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

    app_proto: str = ""
    app_proto_ts: Kept = msgspec.UNSET
    app_proto_tc: Kept = msgspec.UNSET
    app_proto_orig: Kept = msgspec.UNSET
    app_proto_expected: Kept = msgspec.UNSET
    direction: str = ""
    flow: Kept = msgspec.UNSET
    tcp: Kept = msgspec.UNSET
    host: str = ""


class EveLine(TimedLine, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """The same with a time in any form."""

    timestamp: Moment | None = None  # type: ignore[assignment]


class AlertPart(msgspec.Struct, gc=False):
    """What is looked at inside ``alert``."""

    signature: str = ""
    signature_id: int = 0


class FlowPart(msgspec.Struct, gc=False):
    """What is looked at inside ``flow``; alerts since Suricata 7 have the endpoints of the flow there, too."""

    start: str = ""
    end: str = ""
    state: str = ""
    reason: str = ""
    src_ip: str = ""
    src_port: Port = 0
    dest_ip: str = ""
    dest_port: Port = 0


#: Fields that leave details because records have a place for them.
PLACED = ("host", "src_ip", "src_port", "dest_ip", "dest_port")
ENDPOINTS = frozenset(PLACED[1:])


def set_aside(line: TimedLine, endpoints: bool = True) -> None:
    """Takes out of the line what has its place in the record, but for the time; ``endpoints``: those, too."""
    line.host = ""
    if endpoints:
        line.src_ip = line.dest_ip = ""
        line.src_port = line.dest_port = 0


def set_all_aside(line: EveLine) -> None:
    """The same, with the time."""
    set_aside(line)
    line.timestamp = None


def micros_of_text(text: str) -> int | None:
    """Microseconds UTC of a time as Suricata writes it; None for what is none.

    Reading two of them as dates was a third of what a flow costs. Flows come sorted by time, so the second before the
    fraction is mostly one that was read just now.
    """
    digits = text[_FRACTION:_FRACTION_END]
    if digits.isdigit():
        try:
            return _whole_second(text[:_FRACTION] + text[_FRACTION_END:]) + int(digits)
        except (ValueError, OverflowError):
            # Another number of digits, or no time at all.
            pass
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def _whole_second(text: str) -> int:
    """Of a time from which the digits behind the dot were taken."""
    second, dot, zone = text[: _FRACTION - 1], text[_FRACTION - 1], text[_FRACTION:]
    if dot != "." or zone[:1] not in ("+", "-", "Z"):
        raise ValueError(text)
    return parse_time(second + zone)


#: Age in seconds up to which a flow_id of Suricata 6 is taken for one: of those since, one in 500 looks as young.
_YOUNG = 60


def session_id(flow_id: str, start: int) -> str:
    """An id that no other flow ever gets: flow_id and the second in which the flow began.

    flow_id alone comes again: of the start it has 15 bits of the second up to Suricata 6 and 3 bits since, beside a
    hash of the addresses. A ping every minute between two hosts meets its own flow_id again within weeks.
    """
    return f"{flow_id}-{start // SECOND}"


def probable_session_id(flow_id: int, time: int) -> str:
    """The same where only the time of something in the flow is known, by those bits of the second: right within 8 s
    of the flow's start, with Suricata up to 6 within a minute."""
    second = time // SECOND
    age = second - (flow_id >> 16) & 0x7FFF
    if age > _YOUNG:
        age = second - (flow_id >> 48) & 7
    return f"{flow_id}-{second - age}"
