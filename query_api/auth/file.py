"""The file of credentials: looked at before each use, read again when it changed, changed by one writer at a time.

What cannot be read never opens anything: the API goes on with what it knew, and says so in its log.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from query_api.auth.credentials import (
    NO_CREDENTIALS,
    Credentials,
    CredentialsError,
    read_credentials,
    write_credentials,
)
from schemas.settings import Settings

log = structlog.get_logger()

NAME = "credentials.json"
#: Bits of the mode that let others read the file, or the group change it. The group may read: secrets that are
#: mounted into a container belong to root and a group.
_TOO_OPEN = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO


def credentials_path(settings: Settings) -> Path:
    """The setting http.auth_file, or the file's place in the data folder."""
    return Path(settings.http.auth_file) if settings.http.auth_file else Path(settings.data) / NAME


_Stamp = tuple[int, int, int, int]


class CredentialsFile:
    """``current`` is what the file says now. No file is no credentials, as long as there was none before."""

    def __init__(self, path: Path) -> None:
        """Raises CredentialsError for a file that is there and cannot be used."""
        self.path = path
        self._stamp = self._look()
        self._current = NO_CREDENTIALS if self._stamp is None else _read(path)

    @property
    def current(self) -> Credentials:
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                if stamp is None:
                    raise CredentialsError("it is gone")
                self._current = _read(self.path)
                log.info("credentials read again", file=str(self.path), entries=len(self._current.entries))
            except CredentialsError as error:
                log.error("credentials stay as they were: the file cannot be used", file=str(self.path), why=str(error))
        return self._current

    def _look(self) -> _Stamp | None:
        try:
            found = self.path.stat()
        except OSError:
            # Missing, or in a folder that is closed to us: reading it says which.
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)


def _read(path: Path) -> Credentials:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except OSError as error:
        raise CredentialsError(f"{path} cannot be read: {error.strerror}") from None
    if mode & _TOO_OPEN:
        raise CredentialsError(f"{path} is open to other users of this machine: chmod 600 {path}")
    try:
        return read_credentials(text)
    except CredentialsError as error:
        raise CredentialsError(f"{path}: {error}") from None


@contextmanager
def changing(path: Path) -> Iterator["Change"]:
    """Reads the file, and writes it whole with mode 600 at the end, while no other writer can.

    Raises CredentialsError; then nothing is written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CredentialsError(f"{path.parent} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        change = Change(_read(path) if path.exists() else NO_CREDENTIALS)
        yield change
        _replace(path, write_credentials(change.credentials))
    finally:
        os.close(lock)


class Change:
    """Credentials under change; what stands here at the end is written."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials


def _replace(path: Path, text: bytes) -> None:
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CredentialsError(f"{path} cannot be written: {error.strerror}") from None
