"""Channels of a session, made of its events (sps-facts 1.9)."""

from typing import Any

import pytest

from query_api.dialects.sps.channel_kinds import Channel, Seen, channels_of


def seen(kind: str, time: int, **more: Any) -> Seen:
    return Seen(kind, time, **more)


def types(protocol: str, *events: Seen) -> list[tuple[str, str]]:
    return [(channel.key, channel.type) for channel in channels_of(protocol, events)]


def test_a_terminal_with_a_size_is_a_shell_and_a_command_alone_is_not() -> None:
    command = seen("command", 2, action="id")
    assert types("ssh", seen("client", 1, has_size=True), command) == [("0", "session shell")]
    assert types("ssh", seen("client", 1), command) == [("0", "session exec")]
    assert types("telnet", command) == [("0", "telnet")]
    assert types("ssh", seen("client", 1)) == []
    assert types("ssh") == []


def test_copies_and_transfers_have_types_of_their_own() -> None:
    (copy,) = channels_of("ssh", [seen("command", 1, action="scp -t /tmp/x")])
    assert (copy.type, copy.scp_path, copy.command) == ("session exec scp", "/tmp/x", "scp -t /tmp/x")
    (transfer,) = channels_of("ssh", [seen("upload", 1)])
    assert (transfer.type, transfer.subsystem_name) == ("session subsystem sftp", "sftp")


def test_each_forward_is_a_channel_behind_the_session() -> None:
    ends = {"orig_ip": "10.0.0.1", "orig_port": 5, "dst_ip": "10.0.0.2", "dst_port": 80}
    found = channels_of(
        "ssh",
        [
            seen("forward", 1, **ends),
            seen("forward", 2, eventid="cowrie.tunnelproxy-tcpip.data"),
            seen("command", 3, action="id"),
        ],
    )
    assert [(channel.key, channel.type) for channel in found] == [
        ("0", "session exec"),
        ("1", "local forward"),
        ("2", "remote forward"),
    ]
    assert found[1] == Channel(
        "1",
        "local forward",
        1,
        1,
        originator_address="10.0.0.1",
        originator_port=5,
        connected_address="10.0.0.2",
        connected_port=80,
    )


@pytest.mark.parametrize("port", [0, -1, 70_000])
def test_what_is_no_port_is_left_out(port: int) -> None:
    (channel,) = channels_of("ssh", [seen("forward", 1, dst_ip="", dst_port=port)])
    assert (channel.connected_address, channel.connected_port) == (None, None)


def test_names_that_a_sensor_gives_its_channels_stay() -> None:
    events = [
        seen("command", 5, action="a", channel="10"),
        seen("command", 3, action="b", channel="2"),
        seen("command", 9, action="c", channel="2"),
        seen("forward", 4),
        seen("terminal", 8, channel="10", started=1),
    ]
    found = channels_of("ssh", events)
    assert [(channel.key, channel.start, channel.end) for channel in found] == [("0", 4, 4), ("2", 3, 9), ("10", 1, 8)]
    assert [channel.command for channel in found] == [None, "b", "a"]
