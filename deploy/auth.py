"""``sojourn auth``: users and tokens are made and revoked in their file, which running servers read by themselves."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from query_api.auth.credentials import Credentials, CredentialsError, TokenEntry, User, checked_name
from query_api.auth.file import CredentialsFile, changing
from query_api.auth.passwords import password_hash
from query_api.auth.sensors import InvalidSensorsError, checked_sensors
from query_api.auth.tokens import new_token, token_hash
from schemas.scopes import Scope


class Line(msgspec.Struct, frozen=True):
    """One entry as ``sojourn auth list`` shows it: nothing in it opens anything."""

    name: str
    kind: str
    scopes: list[Scope]
    sensors: str | None
    created: str


def add_user(path: Path, name: str, password: str, scopes: Sequence[Scope], sensors: str | None) -> bool:
    """Makes a user, or gives an existing one another password, scopes and sensors; True when it is new.

    Raises CredentialsError.
    """
    try:
        hashed = password_hash(password)
    except ValueError as error:
        raise CredentialsError(str(error)) from None
    user = User(
        name=checked_name(name),
        password=hashed,
        scopes=_scopes(scopes),
        sensors=_sensors(sensors),
        created=_now(),
    )
    with changing(path) as change:
        known = change.credentials
        if any(token.name == name for token in known.tokens):
            raise CredentialsError(f"{name} is the name of a token; revoke that first, or choose another name")
        others = [other for other in known.users if other.name != name]
        change.credentials = msgspec.structs.replace(known, users=[*others, user])
    return len(others) == len(known.users)


def add_token(path: Path, name: str, scopes: Sequence[Scope], sensors: str | None) -> str:
    """Makes a token; the text is shown to nobody ever again. Raises CredentialsError."""
    token = new_token()
    checked_name(name)
    with changing(path) as change:
        known = change.credentials
        if any(entry.name == name for entry in known.entries):
            raise CredentialsError(f"the name {name} is taken; revoke it first, or choose another name")
        key = known.key or secrets.token_hex(32)
        entry = TokenEntry(
            name=name,
            id=token.id,
            hash=token_hash(token, key),
            scopes=_scopes(scopes),
            sensors=_sensors(sensors),
            created=_now(),
        )
        change.credentials = msgspec.structs.replace(known, key=key, tokens=[*known.tokens, entry])
    return str(token)


def revoke(path: Path, name: str) -> Credentials:
    """Removes a user or token; what is left. Raises CredentialsError when there is none of that name."""
    if not path.exists():
        raise CredentialsError(f"there are no credentials: {path} does not exist")
    with changing(path) as change:
        known = change.credentials
        change.credentials = msgspec.structs.replace(
            known,
            users=[user for user in known.users if user.name != name],
            tokens=[token for token in known.tokens if token.name != name],
        )
        if len(change.credentials.entries) == len(known.entries):
            raise CredentialsError(f"there is no user or token {name!r}; `sojourn auth list` shows all")
    return change.credentials


def entries(path: Path) -> list[Line]:
    """Everybody who may ask. Raises CredentialsError."""
    return [
        Line(
            entry.name,
            "user" if isinstance(entry, User) else "token",
            list(entry.scopes),
            entry.sensors,
            entry.created,
        )
        for entry in CredentialsFile(path).current.entries
    ]


def as_json(line: Line) -> str:
    return msgspec.json.encode(line).decode()


def _scopes(scopes: Sequence[Scope]) -> list[Scope]:
    return list(dict.fromkeys(scopes)) or [Scope.READ]


def _sensors(pattern: str | None) -> str | None:
    try:
        return None if pattern is None else checked_sensors(pattern)
    except InvalidSensorsError as error:
        raise CredentialsError(f"--sensors: {error}") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
