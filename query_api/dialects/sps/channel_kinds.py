"""Channels made of a session's events (sps-facts 1.9): shells, commands without a shell, files, forwards. Pure."""

from collections.abc import Sequence

import msgspec

SHELL, EXEC, SCP, SFTP = "session shell", "session exec", "session exec scp", "session subsystem sftp"
LOCAL_FORWARD, REMOTE_FORWARD, TELNET = "local forward", "remote forward", "telnet"

#: Kinds of events that tell of channels.
KINDS = ("command", "terminal", "client", "upload", "download", "forward")


class Seen(msgspec.Struct, frozen=True):
    """What channels are made of: one event; times are microseconds since 1970 UTC.

    Of its details: whether they have the size of a terminal, the sensor's word for what happened, the direction of a
    forward and its ends. Empty and 0 where they have no such thing.
    """

    kind: str
    time: int
    started: int | None = None
    channel: str = ""
    action: str = ""
    has_size: bool = False
    eventid: str = ""
    direction: str = ""
    orig_ip: str = ""
    orig_port: int = 0
    dst_ip: str = ""
    dst_port: int = 0


class Channel(msgspec.Struct, omit_defaults=True, rename={
    "originator_address": "originator.address",
    "originator_port": "originator.port",
    "connected_address": "connected.address",
    "connected_port": "connected.port",
}):  # fmt: skip
    """One channel; ``key`` is what events name it by."""

    key: str
    type: str
    start: int
    end: int
    command: str | None = None
    scp_path: str | None = None
    subsystem_name: str | None = None
    originator_address: str | None = None
    originator_port: int | None = None
    connected_address: str | None = None
    connected_port: int | None = None


def channels_of(protocol: str, events: Sequence[Seen]) -> list[Channel]:
    """The channels in the order of their keys.

    Events of a sensor that names channels are grouped by that name. Those of one that does not belong to the
    session's one shell or command, "0"; each forward is a channel of its own behind it.
    """
    named: dict[str, list[Seen]] = {}
    unnamed: list[Seen] = []
    forwards: list[Seen] = []
    for event in events:
        if event.kind == "forward":
            forwards.append(event)
        elif event.channel:
            named.setdefault(event.channel, []).append(event)
        else:
            unnamed.append(event)
    found = [_session_channel(key, protocol, of_channel) for key, of_channel in named.items()]
    if any(_tells(event) for event in unnamed):
        found.append(_session_channel("0", protocol, unnamed))
    taken = {channel.key for channel in found}
    numbers = (str(number) for number in range(len(taken) + len(forwards)))
    free = (number for number in numbers if number not in taken)
    found += [_forward(event.channel or next(free), event) for event in forwards]
    return sorted(found, key=lambda channel: (len(channel.key), channel.key))


def _tells(event: Seen) -> bool:
    """Whether an event is of a channel; of what a client says of itself, only the size of its terminal is."""
    return event.kind != "client" or event.has_size


def _session_channel(key: str, protocol: str, events: list[Seen]) -> Channel:
    telling = [event for event in events if _tells(event)] or events
    start = min(event.time if event.started is None else event.started for event in telling)
    channel = Channel(key, SHELL, start, max(event.time for event in telling))
    commands = [event.action for event in telling if event.kind == "command" and event.action]
    if protocol == "telnet":
        channel.type = TELNET
    elif any(event.kind == "client" for event in telling):
        # Only a shell has a terminal, and a terminal a size.
        channel.type = SHELL
    elif commands and commands[0].split(" ", 1)[0] == "scp":
        channel.type = SCP
        channel.command, channel.scp_path = commands[0], commands[0].rsplit(" ", 1)[-1]
    elif commands:
        channel.type, channel.command = EXEC, commands[0]
    elif any(event.kind in ("upload", "download") for event in telling):
        channel.type, channel.subsystem_name = SFTP, "sftp"
    return channel


def _forward(key: str, event: Seen) -> Channel:
    remote = "tunnelproxy" in event.eventid or event.direction == "remote"
    return Channel(
        key,
        REMOTE_FORWARD if remote else LOCAL_FORWARD,
        event.time,
        event.time,
        originator_address=event.orig_ip or None,
        originator_port=_port(event.orig_port),
        connected_address=event.dst_ip or None,
        connected_port=_port(event.dst_port),
    )


def _port(number: int) -> int | None:
    return number if 0 < number <= 65535 else None
