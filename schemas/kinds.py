"""What an event is: a text kind, and the integer code that Honeytrap's clients know it by.

Kinds are open: a sensor may send one that is not listed, its code is then 0. No kind but ``connect`` contains the
text "connect", because clients filter kinds with unanchored regexes. Source: Honeytrap facts 4.1, hard-questions
"Honeytrap: numbers and names".
"""

from collections.abc import Mapping
from types import MappingProxyType

CONNECT = "connect"
CLOSE = "close"
OTHER = "other"

#: kind → code of Honeytrap's old message types; kinds that had none have 0.
CODES: Mapping[str, int] = MappingProxyType(
    {
        CONNECT: 5,
        CLOSE: 6,
        "login.success": 51,
        "login.failed": 51,
        "logout": 52,
        "forward": 7,
        "error": 9,
        "ping": 3,
        "service.start": 10,
        "service.end": 11,
        "command": 0,
        "download": 0,
        "upload": 0,
        "client": 0,
        "terminal": 0,
        "alert": 0,
        "flow": 0,
        "device.new": 0,
        "device.up": 0,
        "device.down": 0,
        "device.lost": 0,
        "device.ip": 0,
        "device.voided": 0,
        OTHER: 0,
    }
)

#: A session answers with these codes on Honeytrap's /sessions.
SESSION_OPEN_CODE = CODES[CONNECT]
SESSION_CLOSED_CODE = CODES[CLOSE]
