"""Passwords, as argon2id hashes. Checking one takes some 50 ms and 64 MiB on purpose, so few are checked at once."""

import asyncio
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

#: Shortest and longest password, in bytes.
SHORTEST, LONGEST = 8, 1024
_AT_ONCE = 2


@cache
def _hasher() -> "PasswordHasher":
    # Imported with the first password: the API starts without it.
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _nobodys_hash() -> str:
    return _hasher().hash("a name that does not exist takes as long as one that does")


def password_hash(password: str) -> str:
    """The hash to keep. Raises ValueError for a password that is too short or too long."""
    if not SHORTEST <= len(password.encode()) <= LONGEST:
        raise ValueError(f"a password has from {SHORTEST} to {LONGEST} bytes")
    return _hasher().hash(password)


def is_password_hash(text: str) -> bool:
    from argon2 import extract_parameters
    from argon2.exceptions import InvalidHashError

    try:
        extract_parameters(text)
    except InvalidHashError:
        return False
    return True


class PasswordCheck:
    """Checks passwords beside the event loop, two at a time: their memory is bounded, and so is their time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def matches(self, password: str, hash: str | None) -> bool:
        """Whether it is the password of ``hash``; None stands for a user that does not exist and takes as long."""
        async with self._places:
            return await asyncio.to_thread(_verify, password, hash)


def _verify(password: str, hash: str | None) -> bool:
    from argon2.exceptions import VerificationError

    if len(password.encode()) > LONGEST:
        return False
    try:
        _hasher().verify(_nobodys_hash() if hash is None else hash, password)
    except VerificationError:
        return False
    return hash is not None
