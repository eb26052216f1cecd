"""What an API writes: read back by the decoder, refused by field, keyed where its session lives."""

import json
from typing import Any

import msgspec
import pytest

from producers.formats import Decoded, Rejection
from producers.formats.sojourn import decode_connection
from producers.writes import Target, amend, remove, remove_device
from schemas.records import Amendment, session_key

WRITES = {"sensor": "ssh-01", "time": "2026-11-22T10:00:00Z", "session_id": "s1"}


@pytest.mark.parametrize(
    ("sent", "amendment"),
    [
        ({"paused": True}, Amendment(paused=True)),
        ({"paused": False, "reason": ""}, Amendment(paused=False, reason="")),
        ({"terminate_at": "2026-11-22T11:00:00Z"}, Amendment(terminate_at=1_795_345_200_000_000)),
        ({"terminate_at": 0, "retention_locked": None}, Amendment(terminate_at=0)),
        ({"reason": 5}, Amendment(reason="5")),
    ],
)
def test_what_is_to_be_amended_is_read(sent: dict[str, Any], amendment: Amendment) -> None:
    [decoded] = _list(decode_connection(json.dumps({**WRITES, "action": "amend", "amend": sent}).encode()))
    assert decoded.connection is not None
    found = decoded.connection.amend
    assert found is not None
    assert all(getattr(found, name) == getattr(amendment, name) for name in Amendment.__struct_fields__)
    assert msgspec.json.decode(decoded.event.details)["amend"] is not None


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"action": "amend"}, "amend"),
        ({"action": "amend", "amend": {"pausd": True}}, "amend"),
        ({"action": "amend", "amend": {"paused": "perhaps"}}, "amend"),
        ({"action": "amend", "amend": {"terminate_at": "tomorrow"}}, "amend"),
        ({"action": "amend", "amend": [1]}, "amend"),
        ({"action": "amend", "amend": {"paused": True}, "session_id": None, "mac": "aa"}, "session_id"),
        ({"action": "remove", "session_id": None, "client_ip": "192.0.2.1"}, "session_id"),
        ({"action": "remove", "key": '[ "aabb"]'}, "key"),
        ({"action": "remove", "key": '["ssh-01","s2"]'}, "key"),
        ({"action": "remove", "key": "aabb"}, "key"),
        ({"action": "connect", "key": '["aabb"]'}, "key"),
    ],
)
def test_a_write_that_cannot_be_done_says_why(sent: dict[str, Any], field: str) -> None:
    decoded = decode_connection(json.dumps({**WRITES, **sent}).encode())
    assert isinstance(decoded, Rejection)
    assert decoded.field == field


@pytest.mark.parametrize("key", ["", '["aabbcc001122"]', '["ssh-01","s1"]', '["ssh-01","tcp","a:1","b:2"]'])
def test_a_write_goes_where_its_session_lives(key: str) -> None:
    target = Target("ssh-01", "s1", key)
    for write in (
        amend(target, "request-1", 1_795_345_200_000_000, Amendment(terminate_at=1_795_345_200_000_000)),
        remove(target, "request-1", 1_795_345_200_000_000),
    ):
        [decoded] = _list(decode_connection(write.value))
        connection = decoded.connection
        assert connection is not None
        assert write.key == session_key(connection) == (key or '["ssh-01","s1"]').encode()
        assert (connection.time, decoded.event.record_id) == (1_795_345_200_000_000, "request-1")
        assert connection.amend is None or connection.amend.terminate_at == 1_795_345_200_000_000


def test_a_devices_removal_is_keyed_by_the_device() -> None:
    write = remove_device("api", "AA:BB:CC:00:11:22", "request-1", 1_795_345_200_000_000)
    assert write.key == b'["aabbcc001122"]'
    assert not isinstance(decode_connection(write.value), Rejection)


def _list(decoded: list[Decoded] | Rejection) -> list[Decoded]:
    assert not isinstance(decoded, Rejection), decoded
    return decoded
