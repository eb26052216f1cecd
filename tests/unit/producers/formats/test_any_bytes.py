"""Whatever comes in, a decoder answers with records or with a reason."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import event as happened
from hypothesis import strategies as st

from producers.formats import DECODERS, Rejection, Source, decode
from schemas.dead_letters import Reason
from schemas.times import EARLIEST, LATEST

ROOT = Path(__file__).parents[4]
LINES = (ROOT / "deploy" / "demo" / "cowrie-live.json").read_bytes().splitlines()
SOURCE = Source("e", "t", 0)
EVENT = {
    "sensor": "a",
    "time": "2026-11-22T10:00:00Z",
    "kind": "command",
    "session_id": "s",
    "client_port": 22,
    "flags": ["x"],
    "details": {"a": 1},
}
CONNECTION = {
    "action": "connect",
    "sensor": "a",
    "time": 5.5,
    "session_id": "s",
    "opens": True,
    "attributes": {"a": "b"},
}
#: Fields without which there is no record, or which say what the others mean, per format.
REQUIRED = {
    "cowrie": {"eventid", "sensor", "timestamp", "session"},
    "honeytrap": {"date", "sensor"},
    "netalertx": {"eve_MAC", "eve_DateTime", "eve_EventType", "time", "mac"},
    "sshd": {"__REALTIME_TIMESTAMP", "_HOSTNAME"},
    "suricata": {"timestamp", "event_type", "message"},
    "teleport": {"time", "event"},
    "zeek": {"ts", "uid", "_path", "conn", "id"},
}

#: A busy machine is no fault of a decoder.
settings.register_profile("decoders", deadline=None, suppress_health_check=[HealthCheck.too_slow])
PATIENT = settings.get_profile("decoders")

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["", "2026-11-22T10:00:00Z", "connect", "-1", "65536", 1e308, 10**40, -1, "\x00", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def lines(format_name: str) -> list[bytes]:
    """Records of a format as they are written."""
    match format_name:
        case "cowrie":
            return LINES
        case "sojourn.event":
            return [json.dumps(EVENT).encode()]
        case "sojourn.connection":
            return [json.dumps(CONNECTION).encode()]
    return (ROOT / "tests" / "data" / "formats" / f"{format_name}.txt").read_bytes().splitlines()


def sample(format_name: str) -> list[dict[str, Any]]:
    """Those of them that are JSON objects."""
    return [json.loads(line) for line in lines(format_name) if line.startswith(b"{")]


def check(format_name: str, value: bytes) -> bool:
    """Decodes, and holds whatever comes out to what every consumer relies on; True when there are records."""
    result = decode(DECODERS[format_name], value, 9, 1_000_000, SOURCE)
    if isinstance(result, Rejection):
        assert isinstance(result.reason, Reason)
        assert result.expected
        return False
    for record in result:
        event = record.event
        assert event.sensor and event.kind == event.kind.lower() and event.record_id
        assert isinstance(event.time, int) and EARLIEST <= event.time <= LATEST
        assert 0 <= event.client_port <= 65_535 and 0 <= event.server_port <= 65_535
        assert isinstance(msgspec.json.decode(event.details), dict)
        # It can be sent on: text is valid, numbers fit.
        assert bytes(event.details).decode()
        msgspec.json.encode(event)
        if record.connection:
            again = msgspec.json.decode(msgspec.json.encode(record.connection))
            assert again["time"] == record.connection.time
    return True


@pytest.mark.parametrize("format_name", sorted(DECODERS))
@settings(PATIENT)
@given(value=st.binary(max_size=200))
def test_any_bytes(format_name: str, value: bytes) -> None:
    check(format_name, value)


@pytest.mark.parametrize("format_name", sorted(DECODERS))
@settings(PATIENT)
@given(data=st.data())
def test_any_json_in_any_field(format_name: str, data: st.DataObject) -> None:
    fields = dict(data.draw(st.sampled_from(sample(format_name))))
    names = st.sampled_from(sorted(fields)) | st.text(max_size=10)
    for name in data.draw(st.lists(names, min_size=1, max_size=4)):
        fields[name] = data.draw(json_values)
    happened(f"{format_name}: {'decoded' if check(format_name, json.dumps(fields).encode()) else 'refused'}")


@pytest.mark.parametrize("format_name", sorted(DECODERS))
@settings(PATIENT, max_examples=200)
@given(data=st.data())
def test_any_damage_to_the_bytes_of_a_record(format_name: str, data: st.DataObject) -> None:
    value = bytearray(data.draw(st.sampled_from(lines(format_name))))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(value) - 1))
        match data.draw(st.integers(0, 3)):
            case 0:
                value[at] = data.draw(st.integers(0, 255))
            case 1:
                del value[at : at + data.draw(st.integers(1, 20))]
                value = value or bytearray(b" ")
            case 2:
                value[at:at] = data.draw(st.binary(max_size=10))
            case 3:
                value = value[: at + 1]
    check(format_name, bytes(value))


@pytest.mark.parametrize("format_name", sorted(DECODERS))
def test_the_samples_decode(format_name: str) -> None:
    for line in lines(format_name):
        assert check(format_name, line), line


@pytest.mark.parametrize("format_name", sorted(REQUIRED))
def test_a_line_mutated_outside_its_required_fields_still_decodes(format_name: str) -> None:
    """A sensor's lines survive any JSON in any other field; half surrogates too."""
    counts = {"tried": 0, "decoded": 0}
    records = sample(format_name)

    @settings(PATIENT, max_examples=300, database=None, derandomize=True)
    @given(record=st.sampled_from(records), data=st.data())
    def mutate(record: dict[str, Any], data: st.DataObject) -> None:
        fields = dict(record)
        optional = st.sampled_from(sorted(fields.keys() - REQUIRED[format_name]) or ["new_field"])
        for name in data.draw(st.lists(optional | st.just("new_field"), min_size=1, max_size=3)):
            fields[name] = data.draw(json_values)
        counts["tried"] += 1
        counts["decoded"] += check(format_name, json.dumps(fields).encode())

    mutate()
    assert counts["tried"] >= 300
    assert counts["decoded"] == counts["tried"]


@pytest.mark.parametrize("format_name", ["sojourn.event", "sojourn.connection"])
def test_our_own_record_keeps_any_field_that_is_not_ours(format_name: str) -> None:
    [fields] = sample(format_name)

    @settings(PATIENT, max_examples=100)
    @given(extra=st.dictionaries(st.text(max_size=10).map("x-".__add__), json_values, min_size=1, max_size=5))
    def extend(extra: dict[str, Any]) -> None:
        value = json.dumps({**fields, **extra}).encode()
        assert check(format_name, value)
        records = DECODERS[format_name](value)
        assert not isinstance(records, Rejection)
        assert len(extra.keys()) <= len(msgspec.json.decode(records[0].event.details))

    extend()
