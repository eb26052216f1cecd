"""Reading files of lines: plain, gzip, standard input, and files that grow and are rotated."""

import asyncio
import glob
import os
import stat
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from producers.gunzip import MAGIC, Gunzip
from producers.lines import Line, LineSplitter

STDIN = "-"
_CHUNK = 1 << 20

#: Seconds between two looks at a file that is followed.
_PAUSE = 0.2


class UnreadableFileError(OSError):
    """A file cannot be read, or not to its end; the text says why."""


def expand(patterns: Iterable[str]) -> list[str]:
    """The files that names and globs stand for, each once; a name without a file stays, reading it will say so."""
    found: dict[str, None] = {}
    for pattern in patterns:
        matches = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []  # noqa: PTH207
        # A file may have brackets in its name.
        for path in matches or [pattern]:
            found[path] = None
    return list(found)


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

    Whether it is gzip its first bytes tell, not its name. Raises UnreadableFileError after the lines before the fault.
    """
    splitter = LineSplitter(longest)
    gunzip: Gunzip | None = None
    head: bytes | None = b""
    async for chunk in _chunks(path, stop):
        if read is not None:
            read(len(chunk))
        if head is not None:
            # A pipe may give its bytes one by one.
            chunk = head + chunk
            if len(chunk) < len(MAGIC):
                head = chunk
                continue
            head = None
            gunzip = Gunzip() if chunk.startswith(MAGIC) else None
        if gunzip is None:
            yield splitter.feed(chunk)
            continue
        try:
            for piece in gunzip.feed(chunk):
                yield splitter.feed(piece)
        except zlib.error as error:
            raise UnreadableFileError(f"broken gzip: {error}") from error
    if stop.is_set():
        return
    if gunzip is not None and not gunzip.complete:
        raise UnreadableFileError("the gzip data end too early")
    if head:
        yield splitter.feed(head)
    yield splitter.end()


async def follow(
    path: str, longest: int, stop: asyncio.Event, read: Callable[[int], None] | None = None
) -> AsyncIterator[list[Line]]:
    """The lines of a file from its beginning, and those that are appended, until ``stop``.

    A file that is not there is waited for; one that was renamed is read to its end, then its successor from the
    beginning; one that was truncated is read anew. A line counts when its end is written.
    """
    splitter = LineSplitter(longest)
    while not stop.is_set():
        try:
            file = await asyncio.to_thread(_open, path)
        except FileNotFoundError:
            await _wait(stop)
            continue
        except OSError as error:
            raise UnreadableFileError(error.strerror or str(error)) from error
        with file:
            splitter.forget()
            replaced = False
            while not stop.is_set():
                chunk = await asyncio.to_thread(file.read, _CHUNK)
                if chunk:
                    if read is not None:
                        read(len(chunk))
                    yield splitter.feed(chunk)
                elif replaced:
                    # What the writer left without a line end is complete now: nobody writes there any more.
                    yield splitter.end()
                    break
                elif os.fstat(file.fileno()).st_size < file.tell():
                    file.seek(0)
                    splitter.forget()
                else:
                    replaced = _is_replaced(path, file)
                    if not replaced:
                        await _wait(stop)


def _is_replaced(path: str, file: BinaryIO) -> bool:
    """Another file has the name now; while none has, the writer may still write to this one."""
    try:
        return not os.path.samestat(Path(path).stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


async def _wait(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), _PAUSE)
    except TimeoutError:
        return


async def _chunks(path: str, stop: asyncio.Event) -> AsyncIterator[bytes]:
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


async def _pipe_chunks(stop: asyncio.Event) -> AsyncIterator[bytes]:
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
