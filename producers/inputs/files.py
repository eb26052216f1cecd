"""Reading files of lines: plain, gzip, zstd, and standard input."""

import asyncio
import glob
import os
import stat
import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from producers.inputs import gunzip, unzstd
from producers.inputs.gunzip import Gunzip
from producers.inputs.lines import Line, LineSplitter
from producers.inputs.unzstd import Unzstd, ZstdError

STDIN = "-"
_CHUNK = 1 << 20
_MAGIC_SIZE = max(len(gunzip.MAGIC), len(unzstd.MAGIC))


class UnreadableFileError(OSError):
    """A file cannot be read, or not to its end; the text says why."""


def expand(patterns: Iterable[str]) -> list[str]:
    """The files that names, globs and directories stand for, each once.

    A directory stands for the files in it that are not hidden; a name without a file stays, reading it will say so.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        # A file may have brackets in its name.
        matches = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []  # noqa: PTH207
        for match in matches or [pattern]:
            for path in _files_in(match) if Path(match).is_dir() else [match]:
                found[path] = None
    return list(found)


def _files_in(directory: str) -> list[str]:
    try:
        return sorted(str(each) for each in Path(directory).iterdir() if each.is_file() and each.name[0] != ".")
    except OSError:
        # Reading it says why.
        return [directory]


def size_of(path: str) -> int | None:
    """Bytes on disk; None when that is not known (standard input, a pipe, no such file)."""
    if path == STDIN:
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


async def lines_of(
    path: str, longest: int, stop: asyncio.Event, read: Callable[[int], None] | None = None
) -> AsyncIterator[list[Line]]:
    """The lines of a file from its beginning to its end, some at a time; ``read`` is told the bytes read from disk.

    Raises UnreadableFileError after the lines before the fault.
    """
    splitter = LineSplitter(longest)
    async for content in content_of(path, stop, read):
        yield splitter.feed(content)
    if not stop.is_set():
        yield splitter.end()


async def content_of(
    path: str, stop: asyncio.Event, read: Callable[[int], None] | None = None
) -> AsyncGenerator[bytes, None]:
    """What is in a file, unpacked where it is gzip or zstd: its first bytes tell, not its name.

    Raises UnreadableFileError.
    """
    unpack: Gunzip | Unzstd | None = None
    head: bytes | None = b""
    async for chunk in _chunks(path, stop):
        if read is not None:
            read(len(chunk))
        if head is not None:
            # A pipe may give its bytes one by one.
            chunk = head + chunk
            if len(chunk) < _MAGIC_SIZE:
                head = chunk
                continue
            head = None
            unpack = unpacking(chunk)
        if unpack is None:
            yield chunk
            continue
        try:
            for piece in unpack.feed(chunk):
                yield piece
        except (zlib.error, ZstdError) as error:
            raise UnreadableFileError(f"broken {_name(unpack)}: {error}") from error
    if stop.is_set():
        return
    if unpack is not None and not unpack.complete:
        raise UnreadableFileError(f"the {_name(unpack)} data end too early")
    if head:
        yield head


def unpacking(head: bytes) -> Gunzip | Unzstd | None:
    """How to unpack what begins so; None for what is not packed."""
    if head.startswith(gunzip.MAGIC):
        return Gunzip()
    return Unzstd() if head.startswith(unzstd.MAGIC) else None


def _name(unpack: Gunzip | Unzstd) -> str:
    return "gzip" if isinstance(unpack, Gunzip) else "zstd"


async def _chunks(path: str, stop: asyncio.Event) -> AsyncGenerator[bytes, None]:
    try:
        if path == STDIN and not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):
            async for chunk in _pipe_chunks(stop):
                yield chunk
            return
        # A redirected file is read like any other, from where the shell left it.
        file = sys.stdin.buffer if path == STDIN else await asyncio.to_thread(_open, path)
        with file:
            while not stop.is_set() and (chunk := await asyncio.to_thread(file.read, _CHUNK)):
                yield chunk
    except OSError as error:
        raise UnreadableFileError(error.strerror or str(error)) from error


async def _pipe_chunks(stop: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """Standard input without a thread: a thread would keep the process alive after Ctrl-C until somebody types."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_CHUNK)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    try:
        while chunk := await _unless_stopped(reader.read(_CHUNK), stop):
            yield chunk
    finally:
        transport.close()


async def _unless_stopped(reading: Awaitable[bytes], stop: asyncio.Event) -> bytes:
    """What is read, or nothing when ``stop`` comes first."""
    wanted = asyncio.ensure_future(reading)
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({wanted, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if wanted.done():
        return wanted.result()
    wanted.cancel()
    return b""


def _open(path: str) -> BinaryIO:
    return Path(path).open("rb")
