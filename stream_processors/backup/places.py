"""Where exports are put: a folder, or a bucket of S3. A file appears there whole or not at all."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import aiohttp
from yarl import URL

from schemas.backups import Bucket, Folder, places
from schemas.settings import Backup
from stream_processors.backup.signing import Key, path_of, signed

_CHUNK = 1 << 20
_SECONDS = 300
#: Longest part of a path that is made of a name as it is.
_NAME_LIMIT = 150


class PlaceError(Exception):
    """A file could not be put there; the text says why."""


class Place(Protocol):
    async def put(self, file: Path, name: str) -> None:
        """Put a file there under a name with slashes, in place of any of that name. Raises PlaceError."""

    async def close(self) -> None: ...


def open_places(backup: Backup) -> Mapping[str, Place]:
    """By name of the target. Raises SettingsError."""
    key = Key(backup.s3_key, backup.s3_secret, backup.s3_region)
    return {
        name: _InFolder(Path(place.path)) if isinstance(place, Folder) else _InBucket(place, key)
        for name, place in places(backup).items()
    }


def path_part(name: str) -> str:
    """A name that a sensor made up, as one part of a path: never a separator, a dot alone, or too long."""
    text = quote(name, safe=" :@+=,")
    if len(text) > _NAME_LIMIT:
        text = f"{text[: _NAME_LIMIT - 33]}~{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return text if text.strip(".") else text.replace(".", "%2E") or "%"


class _InFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, file: Path, name: str) -> None:
        try:
            await asyncio.to_thread(self._put, file, name)
        except OSError as error:
            raise PlaceError(f"{error.strerror or error} ({self._folder / name})") from error

    def _put(self, file: Path, name: str) -> None:
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.new")
        with file.open("rb") as source, beside.open("wb") as copy:
            shutil.copyfileobj(source, copy, _CHUNK)
            copy.flush()
            os.fsync(copy.fileno())
        beside.replace(target)

    async def close(self) -> None:
        return


class _InBucket:
    def __init__(self, bucket: Bucket, key: Key) -> None:
        self._bucket = bucket
        self._key = key
        self._http: aiohttp.ClientSession | None = None

    async def put(self, file: Path, name: str) -> None:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS, connect=10))
        url = self._bucket.endpoint + path_of(self._bucket.name, self._bucket.prefix + name)
        try:
            digest, size = await asyncio.to_thread(_digest, file)
            headers = signed("PUT", url, {"Content-Length": str(size)}, digest, self._key, datetime.now(UTC))
            where = URL(url, encoded=True)
            async with self._http.put(where, data=_chunks(file), headers=headers) as answer:
                if answer.status not in (200, 201, 204):
                    words = (await answer.text())[:300]
                    raise PlaceError(f"S3 answered {answer.status}: {words}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PlaceError(f"S3 at {self._bucket.endpoint}: {error!r}") from error

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.open, "rb") as source:
        while chunk := await asyncio.to_thread(source.read, _CHUNK):
            yield chunk


def _digest(file: Path) -> tuple[str, int]:
    """SHA-256 and size in bytes."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest(), source.seek(0, os.SEEK_END)
