"""Tokens: ``sojourn_<id>_<secret>``. The id finds the entry, the secret is 256 random bits.

Nobody can guess such a secret, so a fast keyed hash guards it as well as a slow one would, on every request.
"""

import hashlib
import hmac
import re
import secrets
import string

import msgspec

_LETTERS = string.ascii_letters + string.digits
_ID, _SECRET = 10, 43
_FORM = re.compile(rf"sojourn_([0-9a-z]{{{_ID}}})_([0-9A-Za-z]{{{_SECRET}}})", re.ASCII)


class Token(msgspec.Struct, frozen=True):
    """A token in two parts, as a client sends it."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"sojourn_{self.id}_{self.secret}"

    def __repr__(self) -> str:
        """The secret must not reach a log by way of a traceback."""
        return f"Token({self.id})"


def new_token() -> Token:
    id = "".join(secrets.choice(string.digits + string.ascii_lowercase) for _ in range(_ID))
    return Token(id, "".join(secrets.choice(_LETTERS) for _ in range(_SECRET)))


def parse_token(text: str) -> Token | None:
    """None for what is no token of ours."""
    found = _FORM.fullmatch(text)
    return Token(found[1], found[2]) if found else None


def token_hash(token: Token, key: str) -> str:
    """The hash under the file's key (hex, 32 bytes), as hex."""
    return hashlib.blake2b(token.secret.encode(), key=bytes.fromhex(key), digest_size=32).hexdigest()


def same_token(token: Token, key: str, expected: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(token_hash(token, key), expected)
