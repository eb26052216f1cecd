"""The commands ``sojourn auth …``; a password comes from a terminal or standard input, never from the command line."""

import getpass
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from schemas.scopes import Scope

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(help="Who may use the query API.", rich_markup_mode=None)

_Name = Annotated[str, typer.Argument(help="1 to 64 letters, digits, _ . @ -")]
_Scopes = Annotated[
    list[Scope] | None, typer.Option("--scope", help="May be repeated; admin includes the others. [default: read]")
]
_Sensors = Annotated[
    str | None, typer.Option(help="RE2 regex on the whole name of a sensor; without it, every sensor is seen.")
]
_Data = Annotated[str | None, typer.Option(help="Data folder, as of `sojourn up` (sojourn-data).")]
_File = Annotated[str | None, typer.Option(help="The file itself (setting http.auth_file).")]


@app.command("add-user")
def add_user(
    name: _Name, scope: _Scopes = None, sensors: _Sensors = None, data: _Data = None, auth_file: _File = None
) -> None:
    """Make a user, who logs in with a password; or give one another password, scopes and sensors."""
    from deploy import auth
    from query_api.auth.credentials import CredentialsError

    path = _path(data, auth_file)
    password = _password()
    try:
        new = auth.add_user(path, name, password, scope or [], sensors)
    except CredentialsError as error:
        _fail(str(error))
    typer.echo(f"user {name} {'made' if new else 'changed'} in {path}")


@app.command("add-token")
def add_token(
    name: _Name, scope: _Scopes = None, sensors: _Sensors = None, data: _Data = None, auth_file: _File = None
) -> None:
    """Make a token for a program and print it, this once: only its hash is kept."""
    from deploy import auth
    from query_api.auth.credentials import CredentialsError

    path = _path(data, auth_file)
    try:
        token = auth.add_token(path, name, scope or [], sensors)
    except CredentialsError as error:
        _fail(str(error))
    typer.echo(f"token {name} made in {path}; it is shown only now:", err=True)
    typer.echo(token)


@app.command("list")
def list_entries(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    data: _Data = None,
    auth_file: _File = None,
) -> None:
    """Everybody who may ask, without secrets."""
    from deploy import auth
    from query_api.auth.credentials import CredentialsError

    path = _path(data, auth_file)
    try:
        lines = auth.entries(path)
    except CredentialsError as error:
        _fail(str(error))
    if not lines and not as_json:
        typer.echo(f"no credentials in {path}: the API answers anybody, on loopback only")
    for line in lines:
        if as_json:
            typer.echo(auth.as_json(line))
        else:
            seen = "every sensor" if line.sensors is None else line.sensors
            typer.echo(f"{line.kind:<6} {line.name:<24} {','.join(line.scopes):<24} {line.created:<21} {seen}")


@app.command("revoke")
def revoke(name: _Name, data: _Data = None, auth_file: _File = None) -> None:
    """Remove a user or token. Running servers refuse it from the next request on, open logins too."""
    from deploy import auth
    from query_api.auth.credentials import CredentialsError

    path = _path(data, auth_file)
    try:
        left = auth.revoke(path, name)
    except CredentialsError as error:
        _fail(str(error))
    typer.echo(f"{name} revoked in {path}")
    if not left.entries:
        typer.echo("no credential is left: on loopback the API answers anybody again", err=True)


def _path(data: str | None, file: str | None) -> "Path":
    from deploy.configuration import configure
    from query_api.auth.file import credentials_path
    from schemas.settings import SettingsError

    try:
        settings, _ = configure({"data": data, "http.auth_file": file})
    except SettingsError as error:
        _fail(str(error))
    return credentials_path(settings).absolute()


def _fail(text: str) -> NoReturn:
    typer.echo(f"sojourn: {text}", err=True)
    raise typer.Exit(1)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("password: ")
    if getpass.getpass("once more: ") != password:
        _fail("the two passwords differ")
    return password
