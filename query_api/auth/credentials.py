"""Users and tokens as they stand in their file: a value, and how its text is read and written."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from query_api.auth.passwords import is_password_hash
from query_api.auth.principal import Origin, Principal
from query_api.auth.sensors import InvalidSensorsError, checked_sensors
from query_api.auth.tokens import parse_token, same_token
from schemas.scopes import Scope

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]


class CredentialsError(ValueError):
    """The credentials cannot be used; the text says which and why, without a secret."""


class User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person, who logs in with a password. ``password`` is an argon2 hash; ``created`` RFC 3339."""

    name: Name
    password: str
    scopes: list[Scope]
    sensors: str | None = None
    created: str = ""


class TokenEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program, which sends a token. ``hash`` is the keyed hash of the token's secret."""

    name: Name
    id: Annotated[str, Meta(pattern=r"^[0-9a-z]{10}$")]
    hash: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    scopes: list[Scope]
    sensors: str | None = None
    created: str = ""


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everybody who may ask. ``key``: 32 bytes as hex, under which tokens are hashed."""

    key: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""
    users: list[User] = []
    tokens: list[TokenEntry] = []
    version: Literal[1] = 1

    @property
    def entries(self) -> list[User | TokenEntry]:
        return [*self.users, *self.tokens]

    def user(self, name: str) -> User | None:
        return next((user for user in self.users if user.name == name), None)

    def bearer(self, text: str) -> Principal | None:
        """Whose token this is; None when nobody's."""
        token = parse_token(text)
        if token is None:
            return None
        entry = next((entry for entry in self.tokens if entry.id == token.id), None)
        return principal(entry, "token") if entry is not None and same_token(token, self.key, entry.hash) else None


NO_CREDENTIALS = Credentials()


def principal(entry: User | TokenEntry, origin: Origin) -> Principal:
    return Principal(entry.name, frozenset(entry.scopes), entry.sensors, origin)


def read_credentials(text: bytes) -> Credentials:
    """Raises CredentialsError for a text that is not whole, or that has what cannot hold."""
    try:
        found = msgspec.json.decode(text, type=Credentials)
    except msgspec.DecodeError as error:
        # The decoder's words name the place and what was expected, never the value.
        raise CredentialsError(str(error)) from None
    names = [entry.name for entry in found.entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise CredentialsError(f"the name {twice} is there twice")
    if found.tokens and not found.key:
        raise CredentialsError("there are tokens, but no key under which they are hashed")
    for entry in found.entries:
        if not entry.scopes:
            raise CredentialsError(f"{entry.name} has no scope; one of {', '.join(Scope)} was expected")
        if entry.sensors is not None:
            try:
                checked_sensors(entry.sensors)
            except InvalidSensorsError as error:
                raise CredentialsError(f"{entry.name}: {error}") from None
    for user in found.users:
        if not is_password_hash(user.password):
            raise CredentialsError(f"the password of {user.name} is no argon2 hash; `sojourn auth add-user` makes one")
    return found


def write_credentials(credentials: Credentials) -> bytes:
    return msgspec.json.format(msgspec.json.encode(credentials), indent=2) + b"\n"


def checked_name(text: str) -> str:
    """Raises CredentialsError."""
    if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,64}", text, re.ASCII):
        raise CredentialsError(f"{text!r} is no name; 1 to 64 letters, digits, _ . @ - were expected")
    return text
