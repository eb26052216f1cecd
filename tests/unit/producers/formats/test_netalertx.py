"""NetAlertX's events of devices, and devices that a scan found."""

import json
from typing import Any

import pytest

from producers.formats import Decoded, Rejection
from producers.formats.netalertx import decode_netalertx
from schemas.dead_letters import Reason
from schemas.records import Action, session_key

TEN = 1_754_042_400_000_000  # 2025-08-01T10:00:00Z
ROW: dict[str, Any] = {
    "eve_MAC": "AA:BB:CC:00:11:22",
    "eve_IP": "192.168.1.5",
    "eve_DateTime": "2025-08-01 10:00:00",
    "eve_EventType": "Connected",
    "eve_AdditionalInfo": "note",
    "eve_PendingAlertEmail": 1,
    "eve_PairEventRowid": None,
}
SEEN = {"time": "2025-08-01T10:00:00Z", "mac": "AA:BB:CC:00:11:22", "ip": "192.168.1.5", "name": "tv", "vendor": "Acme"}

KNOWN = {
    "devMac": "AA:BB:CC:00:11:22",
    "devName": "tv",
    "devOwner": "Ada",
    "devLastIP": "192.168.1.5",
    "devLastConnection": "2025-08-01 10:00:00",
}


def decoded(row: dict[str, Any]) -> Decoded:
    records = decode_netalertx(json.dumps(row).encode())
    assert not isinstance(records, Rejection), records
    [record] = records
    return record


@pytest.mark.parametrize(
    ("label", "kind", "action"),
    [
        ("New Device", "device.new", Action.CONNECT),
        ("Connected", "device.up", Action.CONNECT),
        ("Down Reconnected", "device.up", Action.CONNECT),
        ("Device Down", "device.down", Action.DISCONNECT),
        ("Disconnected", "device.lost", Action.DISCONNECT),
        ("DISCONNECTED", "device.lost", Action.DISCONNECT),
        ("IP Changed", "device.ip", None),
        ("VOIDED - Connected", "device.voided", None),
        ("Something", "other", None),
    ],
)
def test_kinds_open_close_or_only_happen(label: str, kind: str, action: Action | None) -> None:
    record = decoded({**ROW, "eve_EventType": label})
    assert record.event.kind == kind
    assert record.event.data == label
    assert (record.connection.action if record.connection else None) == action
    assert session_key(record.connection or record.event) == b'["aabbcc001122"]'
    if record.connection:
        assert record.connection.kind == label


def test_the_columns_have_their_places_in_any_order() -> None:
    record = decoded(dict(reversed(ROW.items())))
    event, connection = record.event, record.connection
    assert connection is not None
    for each in (event, connection):
        assert (each.sensor, each.time, each.mac, each.client_ip) == ("netalertx", TEN, ROW["eve_MAC"], "192.168.1.5")
    assert event.content == "note"
    assert connection.attributes == {"info": "note"}
    assert json.loads(bytes(event.details)) == {
        name: value for name, value in ROW.items() if name not in ("eve_MAC", "eve_IP", "eve_DateTime")
    }


def test_what_an_end_says_is_not_the_sessions() -> None:
    connection = decoded({**ROW, "eve_EventType": "Disconnected"}).connection
    assert connection is not None
    assert connection.attributes == {}


@pytest.mark.parametrize("time", ["2025-08-01 12:00:00+02:00", "2025-08-01T10:00:00Z", 1754042400])
def test_a_time_with_a_zone_is_taken_at_its_word_and_one_without_is_utc(time: Any) -> None:
    assert decoded({**ROW, "eve_DateTime": time}).event.time == TEN


def test_a_mac_of_digits_came_from_sqlite_as_a_number() -> None:
    assert decoded({**ROW, "eve_MAC": 112233445566}).event.mac == "112233445566"


def test_a_device_that_a_scan_found_is_there() -> None:
    record = decoded(SEEN)
    connection = record.connection
    assert connection is not None
    assert (connection.action, connection.opens, connection.first_time) == (Action.ACTIVITY, True, TEN)
    assert (connection.client_name, connection.attributes) == ("tv", {"vendor": "Acme"})
    assert session_key(connection) == b'["aabbcc001122"]'
    assert json.loads(bytes(record.event.details)) == {"name": "tv", "vendor": "Acme"}


def test_what_a_device_is_called_is_no_sign_of_life() -> None:
    record = decoded(KNOWN)
    event = record.event
    assert (record.connection, record.alone) == (None, True)
    assert (event.time, event.mac, event.client_ip, event.data) == (TEN, KNOWN["devMac"], "192.168.1.5", "tv")
    assert (event.category, event.kind) == ("device", "other")
    details = json.loads(bytes(event.details))
    assert (details["name"], details["owner"]) == ("tv", "Ada")
    assert json.loads(bytes(decoded({**KNOWN, "devName": 7, "devOwner": None}).event.details))["name"] == "7"


@pytest.mark.parametrize("name", ["(unknown)", "(name not found)"])
def test_a_device_without_a_name_is_called_nothing(name: str) -> None:
    assert json.loads(bytes(decoded({**KNOWN, "devName": name}).event.details))["name"] == ""


@pytest.mark.parametrize(
    ("row", "reason", "field"),
    [
        *[
            ({key: value for key, value in ROW.items() if key != name}, Reason.MISSING_FIELD, name)
            for name in ("eve_MAC", "eve_DateTime", "eve_EventType")
        ],
        ({**ROW, "eve_MAC": ""}, Reason.BAD_VALUE, "eve_MAC"),
        ({**ROW, "eve_DateTime": "Monday"}, Reason.BAD_TIME, "eve_DateTime"),
        ({**SEEN, "mac": " "}, Reason.BAD_VALUE, "mac"),
        ({"mac": "aa"}, Reason.MISSING_FIELD, "time"),
        ({**KNOWN, "devMac": " "}, Reason.BAD_VALUE, "devMac"),
        ({**KNOWN, "devName": None}, Reason.MISSING_FIELD, "devName"),
        ({**KNOWN, "devLastConnection": "Monday"}, Reason.BAD_TIME, "devLastConnection"),
        ({}, Reason.MISSING_FIELD, "eve_DateTime"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(row: dict[str, Any], reason: Reason, field: str) -> None:
    rejection = decode_netalertx(json.dumps(row).encode())
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == (reason, field)
