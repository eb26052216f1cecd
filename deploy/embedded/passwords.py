"""Passwords of the embedded ClickHouse: made once, kept in the data folder, readable by its owner only."""

import os
import secrets
from pathlib import Path

import msgspec


class Passwords(msgspec.Struct, frozen=True):
    """One per user that has one; ``analyst`` and ``default`` have none."""

    writer: str
    admin: str
    api: str
    #: Empty in a file of an earlier version, until ``keep_passwords`` has read it.
    api_writer: str = ""


def write_private(path: Path, text: str) -> None:
    """Writes a file with mode 600, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


#: Beside the folder of the embedded ClickHouse, whose files its users can read (``confinement``).
PASSWORDS = "passwords.json"


def read_passwords(path: Path) -> Passwords:
    """Raises OSError or msgspec.DecodeError (also for a missing field)."""
    return msgspec.json.decode(path.read_bytes(), type=Passwords)


def keep_passwords(path: Path) -> Passwords:
    """The passwords in ``path``; made there when there is no such file yet."""
    if path.exists():
        path.chmod(0o600)
        passwords = read_passwords(path)
        if passwords.api_writer:
            return passwords
        passwords = msgspec.structs.replace(passwords, api_writer=_made())
    else:
        passwords = Passwords(_made(), _made(), _made(), _made())
    write_private(path, msgspec.json.encode(passwords).decode() + "\n")
    return passwords


def _made() -> str:
    return secrets.token_urlsafe(24)
