"""One line of Zeek's conn.log: as JSON its fields, as text the order of its columns (Zeek's Conn::Info)."""

import msgspec

from producers.formats.decoded import Rejection
from producers.formats.json_object import Fields
from producers.formats.lines import Kept
from producers.formats.moments import Moment
from schemas.dead_letters import Reason
from schemas.records import Port


class ConnLine(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """Every field of conn.log, so that a line is read once; of another log, what it has in common with it."""

    ts: Moment | None = None
    uid: str = ""
    orig_h: str = msgspec.field(name="id.orig_h", default="")
    orig_p: Port = msgspec.field(name="id.orig_p", default=0)
    resp_h: str = msgspec.field(name="id.resp_h", default="")
    resp_p: Port = msgspec.field(name="id.resp_p", default=0)
    proto: str = ""
    service: str = ""
    conn_state: str = ""
    duration: float | None = None
    sensor: str = ""
    system: str = msgspec.field(name="_system_name", default="")
    path: str = msgspec.field(name="_path", default="")

    orig_bytes: Kept = msgspec.UNSET
    resp_bytes: Kept = msgspec.UNSET
    local_orig: Kept = msgspec.UNSET
    local_resp: Kept = msgspec.UNSET
    missed_bytes: Kept = msgspec.UNSET
    history: Kept = msgspec.UNSET
    orig_pkts: Kept = msgspec.UNSET
    orig_ip_bytes: Kept = msgspec.UNSET
    resp_pkts: Kept = msgspec.UNSET
    resp_ip_bytes: Kept = msgspec.UNSET
    tunnel_parents: Kept = msgspec.UNSET
    ip_proto: Kept = msgspec.UNSET
    community_id: Kept = msgspec.UNSET
    vlan: Kept = msgspec.UNSET
    inner_vlan: Kept = msgspec.UNSET
    write_ts: Kept = msgspec.field(name="_write_ts", default=msgspec.UNSET)


#: Fields that leave details because records have a place for them.
PLACED = ("uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "service", "sensor", "_system_name")


def set_aside(line: ConnLine) -> None:
    """Takes out of the line what has its place in the record."""
    line.ts = None
    line.uid = line.orig_h = line.resp_h = line.service = line.sensor = line.system = ""
    line.orig_p = line.resp_p = 0


#: Columns of conn.log as Zeek writes it when nobody changed it; the last came with Zeek 7.1.
COLUMNS = (
    *("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "service", "duration"),
    *("orig_bytes", "resp_bytes", "conn_state", "local_orig", "local_resp", "missed_bytes", "history"),
    *("orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes", "tunnel_parents", "ip_proto"),
)
_TEXTS = frozenset({"uid", "id.orig_h", "id.resp_h", "proto", "service", "conn_state", "history"})
_SETS = frozenset({"tunnel_parents"})
_FLAGS = {"T": msgspec.Raw(b"true"), "F": msgspec.Raw(b"false")}
_UNSET, _EMPTY = "-", "(empty)"
_encode = msgspec.json.Encoder().encode


def fields_of_columns(line: str) -> Fields | Rejection:
    """A line of conn.log in its text form, as the JSON it would have been."""
    if line.startswith("#"):
        return Rejection(Reason.BAD_VALUE, expected="a record; `sojourn produce zeek` is who reads header lines")
    columns = line.rstrip("\r\n").split("\t")
    if len(columns) not in (len(COLUMNS), len(COLUMNS) - 1):
        return Rejection(
            Reason.NOT_JSON,
            expected=f"a JSON object, or conn.log's {len(COLUMNS) - 1} or {len(COLUMNS)} columns separated by tabs; "
            "a file with a header of its own needs `sojourn produce zeek`",
        )
    fields: Fields = {"_path": msgspec.Raw(b'"conn"')}
    for name, text in zip(COLUMNS, columns, strict=False):
        if text == _UNSET:
            continue
        if name in _SETS:
            fields[name] = msgspec.Raw(_encode([] if text == _EMPTY else text.split(",")))
        elif name in _TEXTS:
            fields[name] = msgspec.Raw(_encode(text))
        else:
            # Numbers keep their digits; what is none stays text, and whoever needs a number says so.
            fields[name] = _FLAGS.get(text) or number_or_text(text)
    return fields


def number_or_text(text: str) -> msgspec.Raw:
    """JSON of a column: the number as it is written where it is one in JSON, else text."""
    raw = text.encode()
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        value = None
    return msgspec.Raw(raw if isinstance(value, int | float) and not isinstance(value, bool) else _encode(text))
