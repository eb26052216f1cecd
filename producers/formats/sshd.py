"""OpenSSH's server: journald's JSON, and lines of syslog (docs/formats/sshd.md; sensor-formats 5.4).

A connection has no id of its own, only the number of its process, which is used again. So its records have none either:
the session machine pairs them by host, boot id and process number in the order of their times, and the session's id is
made of these and of its start: unique for ever.
"""

import re
from datetime import UTC, datetime

import msgspec

from producers.formats.decoded import Decoded, Rejection
from producers.formats.json_object import Fields, not_utf8, object_text
from producers.formats.lines import fields_or_repaired
from producers.formats.sshd_message import Says, meaning_of
from producers.formats.years import WRITTEN_IN, YEAR_GUESSED
from schemas.dead_letters import Reason
from schemas.kinds import OTHER
from schemas.records import Action, Connection, Event
from schemas.times import from_datetime, parse_time

_SSHD = frozenset({"sshd", "sshd-session", "sshd-auth"})
_JOURNAL_TIME = "__REALTIME_TIMESTAMP"
_MICROS = "microseconds since 1970, as text of digits"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DIGITS = re.compile(r"[0-9]{1,17}")

_PRIORITY = r"(?:<[0-9]{1,3}>)?"
_TAG = r"(?P<host>\S+) (?P<program>[^\s\[:]+)(?:\[(?P<pid>[0-9]{1,10})\])?: ?(?P<message>.*)"
_OLD = re.compile(
    rf"{_PRIORITY}(?P<month>[A-Z][a-z]{{2}}) +(?P<day>[0-9]{{1,2}}) (?P<hour>[0-9]{{2}}):(?P<minute>[0-9]{{2}})"
    rf":(?P<second>[0-9]{{2}}) {_TAG}",
    re.DOTALL,
)
_ISO = re.compile(
    rf"{_PRIORITY}(?P<time>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ][0-9:.,]+(?:Z|[+-][0-9:]{{4,5}})?) {_TAG}", re.DOTALL
)
_RFC5424 = re.compile(
    r"<[0-9]{1,3}>1 (?P<time>\S+) (?P<host>\S+) (?P<program>\S+) (?P<pid>\S+) \S+ "
    r"(?:-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: (?P<message>.*))?",
    re.DOTALL,
)
_EXPECTED = "journald's JSON, or a line of syslog: time, host, program[pid]: message"
_PLACED = frozenset({"_HOSTNAME", "_BOOT_ID", "MESSAGE", _JOURNAL_TIME})


class Line(msgspec.Struct):
    """A line, wherever it came from."""

    time: int
    host: str
    program: str
    pid: str
    message: str
    boot_id: str = ""
    has_year: bool = True


def decode_sshd(value: bytes) -> list[Decoded] | Rejection:
    """One line: an event, and what it says about the connection of its process."""
    if rejection := not_utf8(value):
        return rejection
    if value.lstrip()[:1] != b"{":
        line = _syslog(value.decode().strip("\r\n\ufeff"))
        if isinstance(line, Rejection):
            return line
        said = {"pid": line.pid, "program": line.program}
        return [_record(line, msgspec.Raw(msgspec.json.encode({name: text for name, text in said.items() if text})))]
    fields, _ = fields_or_repaired(value)
    if isinstance(fields, Rejection):
        return fields
    found = _journal(fields)
    if isinstance(found, Rejection):
        return found
    return [_record(found, object_text({name: raw for name, raw in fields.items() if name not in _PLACED}))]


def _record(line: Line, details: msgspec.Raw) -> Decoded:
    meaning = meaning_of(line.message) if line.program in _SSHD else meaning_of("")
    event = Event(
        sensor=line.host,
        time=line.time,
        kind=meaning.kind,
        token=line.boot_id,
        category=line.program,
        protocol="ssh" if line.program in _SSHD else "",
        client_ip=meaning.client_ip,
        client_port=meaning.client_port,
        server_ip=meaning.server_ip,
        server_port=meaning.server_port,
        user=meaning.user,
        data=line.message,
        details=details,
        flags=[] if line.has_year else [YEAR_GUESSED],
    )
    if meaning.says is Says.NOTHING or not line.pid:
        return Decoded(event, alone=True)
    connection = Connection(
        action=Action.ACTIVITY,
        opens=True,
        sensor=line.host,
        time=line.time,
        first_time=line.time,
        last_time=line.time,
        process=f"{line.boot_id}/{line.pid}" if line.boot_id else line.pid,
        protocol="ssh",
        client_ip=meaning.client_ip,
        client_port=meaning.client_port,
        server_ip=meaning.server_ip,
        server_port=meaning.server_port,
        user=meaning.user,
        token=line.boot_id,
    )
    if meaning.kind.startswith("login."):
        connection.attributes = {"login": meaning.kind.removeprefix("login."), "method": meaning.method}
    if meaning.says is not Says.GOES_ON:
        connection.action = Action.CONNECT if meaning.says is Says.BEGINS else Action.DISCONNECT
        connection.opens = False
        connection.first_time = connection.last_time = None
    return Decoded(event, connection)


def _syslog(text: str) -> Line | Rejection:
    if found := _RFC5424.fullmatch(text) or _ISO.fullmatch(text):
        try:
            time = parse_time(found["time"].upper().replace(",", "."))
        except (ValueError, OverflowError):
            return Rejection(Reason.BAD_TIME, "time", "RFC 3339 text")
        pid = found["pid"] or ""
        pid = pid if pid.isascii() and pid.isdigit() else ""
        return Line(time, found["host"], found["program"], pid, (found["message"] or "").removeprefix("\ufeff"))
    found = _OLD.fullmatch(text)
    if found is None:
        return Rejection(Reason.NOT_JSON, expected=_EXPECTED)
    try:
        day, hour, minute, second = (int(found[name]) for name in ("day", "hour", "minute", "second"))
        month = _MONTHS.index(found["month"]) + 1
        moment = datetime(WRITTEN_IN, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return Rejection(Reason.BAD_TIME, "time", "month, day and time, as in Aug  1 10:00:00")
    return Line(from_datetime(moment), found["host"], found["program"], found["pid"] or "", found["message"], "", False)


def _journal(fields: Fields) -> Line | Rejection:
    if _JOURNAL_TIME not in fields:
        return Rejection(Reason.MISSING_FIELD, _JOURNAL_TIME, _MICROS)
    stamp = _text(fields, _JOURNAL_TIME)
    if not _DIGITS.fullmatch(stamp):
        return Rejection(Reason.BAD_TIME, _JOURNAL_TIME, _MICROS)
    host = _text(fields, "_HOSTNAME")
    if not host:
        return Rejection(Reason.MISSING_FIELD, "_HOSTNAME", "text that is not empty")
    pid = _text(fields, "_PID") or _text(fields, "SYSLOG_PID")
    program = _text(fields, "SYSLOG_IDENTIFIER") or _text(fields, "_COMM") or OTHER
    return Line(int(stamp), host, program, pid, _text(fields, "MESSAGE"), _text(fields, "_BOOT_ID"))


def _text(fields: Fields, name: str) -> str:
    """A field of the journal: text, or an array of bytes where it is no UTF-8; of a field that came twice, the last."""
    raw = fields.get(name)
    if raw is None:
        return ""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return ""
    if isinstance(value, list) and value and all(isinstance(each, int) and 0 <= each <= 255 for each in value):
        return bytes(value).decode(errors="replace")
    if isinstance(value, list):
        value = value[-1] if value else ""
    return value if isinstance(value, str) else ""
