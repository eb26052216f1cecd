"""Backups of sessions: what is asked for, where it goes, and how far it has come.

A request is one message on ``backups``. How far it has come stands in the session's attributes, as a ``Mark`` under
``backup.<target>``.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from schemas.settings import Backup, SettingsError

#: Before the name of a target in the attributes of a session.
PREFIX = "backup."

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


class State(StrEnum):
    """``partial``: exported while the session was open; it is exported once more when it has ended."""

    REQUESTED = "requested"
    PARTIAL = "partial"
    DONE = "done"
    FAILED = "failed"


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the backup of a session to one target has come; ``at`` in RFC 3339."""

    state: State
    at: str
    #: Why it failed.
    message: str = ""
    #: Files below the target, and how many events are in them.
    files: list[str] = []
    events: int | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Export this session to this target. ``time``: when it was asked for, microseconds UTC."""

    request_id: str
    target: str
    sensor: str
    session_id: str
    key: str
    time: int


class Folder(msgspec.Struct, frozen=True):
    path: str


class Bucket(msgspec.Struct, frozen=True):
    """``prefix`` is empty, or ends with a slash."""

    endpoint: str
    name: str
    prefix: str


Place = Folder | Bucket


def places(backup: Backup) -> Mapping[str, Place]:
    """The targets of the settings by name. Raises SettingsError that names the one that does not fit."""
    found: dict[str, Place] = {}
    for name, where in backup.targets.items():
        if not _NAME.fullmatch(name):
            raise SettingsError(f"backup.targets: {name!r} is no name; up to 64 of A-Z a-z 0-9 . _ - were expected")
        found[name] = _place(name, where, backup)
    return found


def _place(name: str, where: str, backup: Backup) -> Place:
    url = urlsplit(where)
    if url.scheme not in ("s3", "http", "https"):
        if not where or "://" in where:
            raise SettingsError(f"backup.targets: {name}: {where!r} is neither a folder nor a URL of S3")
        return Folder(where)
    if not (backup.s3_key and backup.s3_secret):
        raise SettingsError(f"backup.targets: {name} is in S3: backup.s3_key and backup.s3_secret are needed")
    if url.scheme == "s3":
        endpoint, bucket, prefix = f"https://s3.{backup.s3_region}.amazonaws.com", url.netloc, url.path.strip("/")
    else:
        endpoint = f"{url.scheme}://{url.netloc}"
        bucket, _, prefix = url.path.strip("/").partition("/")
    if not _BUCKET.fullmatch(bucket) or not url.netloc or url.query or "@" in url.netloc:
        raise SettingsError(
            f"backup.targets: {name}: {where!r} names no bucket; s3://BUCKET[/PREFIX] or"
            " https://ENDPOINT/BUCKET[/PREFIX] was expected"
        )
    return Bucket(endpoint, bucket, f"{prefix}/" if prefix else "")
