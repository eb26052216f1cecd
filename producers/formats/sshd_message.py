"""What OpenSSH's server says in its log, message by message (sensor-formats 5.4)."""

import re
from collections.abc import Callable
from enum import StrEnum

import msgspec

from schemas.kinds import CLOSE, OTHER


class Says(StrEnum):
    """What a message says about its connection."""

    BEGINS = "begins"
    GOES_ON = "goes on"
    ENDS = "ends"
    NOTHING = "nothing"


class Meaning(msgspec.Struct, frozen=True):
    """One message understood; empty where it does not say."""

    kind: str = OTHER
    says: Says = Says.NOTHING
    user: str = ""
    client_ip: str = ""
    client_port: int = 0
    server_ip: str = ""
    server_port: int = 0
    method: str = ""


_FROM = r"(?P<client_ip>\S+) port (?P<client_port>[0-9]{1,5})"
_WHO = r"(?:(?:authenticating |invalid )?user (?P<user>.*) )?"
#: Messages of the process that answers for the connection. Those of its child, which has another process number, look
#: the same but for "[preauth]": they are left as they are.
_PATTERNS = (
    (rf"Connection from {_FROM}(?: on (?P<server_ip>\S+) port (?P<server_port>[0-9]{{1,5}}))?", "client", Says.BEGINS),
    (rf"Accepted (?P<method>\S+) for (?P<user>.*) from {_FROM}", "login.success", Says.GOES_ON),
    (rf"Failed (?P<method>\S+) for (?:invalid user )?(?P<user>.*) from {_FROM}", "login.failed", Says.GOES_ON),
    (rf"Invalid user (?P<user>.*) from {_FROM}", "client", Says.GOES_ON),
    (r"pam_unix\(sshd[^)]*:session\): session opened for user (?P<user>[^(\s]+)", "client", Says.GOES_ON),
    (r"pam_unix\(sshd[^)]*:session\): session closed for user (?P<user>\S+)", CLOSE, Says.ENDS),
    (rf"(?:Disconnected from|Connection (?:closed|reset) by) {_WHO}{_FROM}.*\[preauth\]", CLOSE, Says.ENDS),
    (rf"Disconnecting {_WHO}{_FROM}:.*\[preauth\]", CLOSE, Says.ENDS),
    (rf"Received disconnect from {_FROM}:.*\[preauth\]", "client", Says.GOES_ON),
    (rf"(?:Disconnected from|Connection (?:closed|reset) by) {_WHO}{_FROM}", "client", Says.NOTHING),
    (rf"Received disconnect from {_FROM}", "client", Says.NOTHING),
    (r"Server listening on (?P<server_ip>\S+) port (?P<server_port>[0-9]{1,5})", "service.start", Says.NOTHING),
    (r"Received signal [0-9]+; terminating", "service.end", Says.NOTHING),
)
_COMPILED: tuple[tuple[Callable[[str], "re.Match[str] | None"], str, Says], ...] = tuple(
    (re.compile(pattern).match, kind, says) for pattern, kind, says in _PATTERNS
)
_NOTHING = Meaning()
_LAST_PORT = 65_535


def meaning_of(message: str) -> Meaning:
    """What a message of sshd means; kind ``other`` for what is not known."""
    for match, kind, says in _COMPILED:
        found = match(message)
        if found is None:
            continue
        said = {name: text for name, text in found.groupdict().items() if text}
        ports = {name: int(said.pop(name)) for name in ("client_port", "server_port") if name in said}
        if any(port > _LAST_PORT for port in ports.values()):
            return _NOTHING
        return Meaning(kind=kind, says=says, **said, **ports)  # type: ignore[arg-type]
    return _NOTHING
