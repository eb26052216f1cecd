"""Users and tokens: their file, their forms, what is refused."""

import os
import stat
from pathlib import Path

import pytest

from deploy import auth
from query_api.auth.credentials import CredentialsError, read_credentials
from query_api.auth.file import CredentialsFile
from query_api.auth.passwords import PasswordCheck
from query_api.auth.tokens import new_token, parse_token
from schemas.scopes import Scope

_PASSWORD = "correct horse"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth" / "credentials.json"


def test_a_token_is_known_by_its_text_alone_and_its_secret_is_not_kept(path: Path) -> None:
    token = auth.add_token(path, "bot", [Scope.READ, Scope.WRITE], "lab-.*")
    found = CredentialsFile(path).current.bearer(token)
    assert found is not None
    assert (found.name, found.scopes, found.sensors) == ("bot", {Scope.READ, Scope.WRITE}, "lab-.*")
    assert token.rpartition("_")[2] not in path.read_text()


def test_no_other_text_is_that_token(path: Path) -> None:
    token = auth.add_token(path, "bot", [], None)
    known = CredentialsFile(path).current
    other = auth.add_token(path, "other", [], None)
    for text in (
        "",
        token[:-1],
        token + "a",
        token.upper(),
        f" {token}",
        token[:-1] + ("a" if token[-1] != "a" else "b"),
    ):
        assert known.bearer(text) is None
    mixed = f"{token.rpartition('_')[0]}_{other.rpartition('_')[2]}"
    assert known.bearer(mixed) is None
    assert str(parse_token(token)) == token
    assert token.rpartition("_")[2] not in repr(parse_token(token))
    assert str(new_token()) != str(new_token())


async def test_a_password_is_checked_and_only_its_argon2_hash_is_kept(path: Path) -> None:
    assert auth.add_user(path, "ann", _PASSWORD, [Scope.ADMIN], None)
    user = CredentialsFile(path).current.user("ann")
    assert user is not None and user.password.startswith("$argon2id$")
    check = PasswordCheck()
    assert await check.matches(_PASSWORD, user.password)
    assert not await check.matches(_PASSWORD + "!", user.password)
    assert not await check.matches("x" * 5000, user.password)
    assert not await check.matches(_PASSWORD, None)


def test_the_file_is_only_for_its_owner_and_one_that_is_not_is_refused(path: Path) -> None:
    auth.add_token(path, "bot", [], None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(CredentialsError, match="chmod 600"):
        CredentialsFile(path)


def test_a_change_is_seen_without_a_restart(path: Path) -> None:
    file = CredentialsFile(path)
    assert file.current.entries == []
    token = auth.add_token(path, "bot", [], None)
    assert file.current.bearer(token) is not None
    auth.revoke(path, "bot")
    assert file.current.bearer(token) is None


def test_a_file_that_breaks_or_goes_changes_nothing(path: Path) -> None:
    token = auth.add_token(path, "bot", [], None)
    file = CredentialsFile(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert file.current.bearer(token) is not None
    path.unlink()
    assert file.current.bearer(token) is not None
    with pytest.raises(CredentialsError, match="credentials"):
        path.write_bytes(whole[: len(whole) // 2])
        os.chmod(path, 0o600)  # noqa: PTH101 - beside write_bytes
        CredentialsFile(path)


def test_names_are_unique_and_plain(path: Path) -> None:
    auth.add_user(path, "ann", _PASSWORD, [], None)
    assert not auth.add_user(path, "ann", _PASSWORD + "2", [], None)
    with pytest.raises(CredentialsError, match="taken"):
        auth.add_token(path, "ann", [], None)
    auth.add_token(path, "bot", [], None)
    with pytest.raises(CredentialsError, match="token"):
        auth.add_user(path, "bot", _PASSWORD, [], None)
    for name in ("", "a b", "a:b", "x" * 65, "é"):
        with pytest.raises(CredentialsError, match="name"):
            auth.add_token(path, name, [], None)
    assert [line.name for line in auth.entries(path)] == ["ann", "bot"]


def test_what_cannot_be_is_refused_before_anything_is_written(path: Path) -> None:
    with pytest.raises(CredentialsError, match="8 to 1024"):
        auth.add_user(path, "ann", "short", [], None)
    with pytest.raises(CredentialsError, match="RE2"):
        auth.add_token(path, "bot", [], "(?!x)")
    with pytest.raises(CredentialsError, match="does not exist"):
        auth.revoke(path, "nobody")
    assert not path.exists()


_ZEROS = "0" * 64
_ENTRY = f'{{"name": "a", "id": "0123456789", "hash": "{_ZEROS}", "scopes": ['


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"users": [{"name": "a", "password": "plain", "scopes": ["read"]}]}', "argon2"),
        (f'{{"tokens": [{_ENTRY}"read"]}}]}}', "key"),
        (f'{{"key": "{_ZEROS}", "tokens": [{_ENTRY}]}}]}}', "scope"),
        ('{"version": 2}', "version"),
        ('{"user": []}', "user"),
        ("[]", "object"),
    ],
)
def test_a_file_that_says_something_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(CredentialsError, match=words):
        read_credentials(text.encode())
