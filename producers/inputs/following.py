"""Files that grow and are rotated, read from where an earlier run stopped until somebody says stop.

A line counts when its end is written. A file that is not there is waited for. One that was renamed is read on beside
its successor until its writer has had time to let go of it; one that was truncated is read anew, after the rest of it
where a copy was made. What was rotated while nobody followed is found by its place on the disk or by how it begins.
"""

import asyncio
import os
import stat
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

from producers.batch import Batch
from producers.inputs.content import Content, Identify, Tail
from producers.inputs.database import is_database
from producers.inputs.files import UnreadableFileError, content_of, expand, unpacking
from producers.inputs.lines import LineSplitter
from producers.inputs.positions import HEAD, Position, Positions
from producers.inputs.rotation import rotated
from producers.inputs.tables import Table

#: Seconds between two looks when nothing was new.
_PAUSE = 0.2
_CHUNK = 1 << 20
#: The header of a table stands within so many bytes.
_HEADER = 65_536
#: A file that nobody wrote to for so many seconds need not be held open.
_QUIET = 3_600.0
#: A file that was renamed is read for so many seconds more: logrotate makes its successor before it tells the writer.
LINGER = 15.0


class Following:
    """Names, globs and directories, followed at once. ``failed`` says of each file why it cannot be read."""

    def __init__(
        self,
        sources: Sequence[str],
        positions: Positions,
        begin: Callable[[], Table],
        identify: Identify,
        longest: int,
        read: Callable[[int], None],
        linger: float = LINGER,
    ) -> None:
        self.failed: dict[str, str] = {}
        self._sources = sources
        self._positions = positions
        self._begin = begin
        self._identify = identify
        self._longest = longest
        self._read = read
        self.linger = linger
        self._tails: dict[str, Tail] = {}
        self._leaving: list[Tail] = []
        #: Names whose rotations were looked through in this run.
        self._looked: set[str] = set()
        #: Files that are read to their end: nothing is new while they are as they were.
        self._settled: dict[str, tuple[int, int, int, int]] = {}

    async def batches(self, stop: asyncio.Event) -> AsyncGenerator[Batch, None]:
        """Until ``stop``, or until no file can be read at all. Each batch is delivered before the next is asked for."""
        try:
            while not stop.is_set():
                found = await asyncio.to_thread(expand, self._sources)
                moved = False
                # A file that no name leads to any more is read to its end nevertheless.
                for path in dict.fromkeys([*found, *self._tails]):
                    async for batch in self._look(path, stop):
                        moved = True
                        yield batch
                for tail in list(self._leaving):
                    async for batch in self._leave(tail, stop):
                        moved = True
                        yield batch
                if found and self.failed.keys() >= set(found) and not self._tails:
                    return
                if not moved:
                    await _pause(stop)
        finally:
            for tail in [*self._tails.values(), *self._leaving]:
                tail.file.close()

    async def _look(self, path: str, stop: asyncio.Event) -> AsyncGenerator[Batch, None]:
        """What is new in one file."""
        try:
            if (tail := self._tails.get(path)) is not None:
                reading = self._advance(path, tail, stop)
            elif (found := _stat(path)) is None or self._settled.get(path) == _mark(found) or self._holds(found):
                return
            else:
                reading = self._open(path, found, stop)
            async for batch in reading:
                yield batch
            self.failed.pop(path, None)
        except OSError as error:
            # A packed file may be unfinished; it is looked at again when it has changed.
            self.failed[path] = error.strerror or str(error)
            if (found := _stat(path)) is not None:
                self._settled[path] = _mark(found)

    async def _open(self, path: str, found: os.stat_result, stop: asyncio.Event) -> AsyncGenerator[Batch, None]:
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableFileError("only files, directories and - can be followed")
        if is_database(path):
            raise UnreadableFileError("a database cannot be followed")
        known = self._positions.find(found, await _head_of(path))
        if known is not None and found.st_size < known.offset and not _is_packed(path):
            # It was truncated, and begins again as it did.
            known = None
        successor = known is None or (known.device, known.inode) != (found.st_dev, found.st_ino)
        if successor or path not in self._looked:
            async for batch in self._unread(path, found, successor, stop):
                yield batch
            self._looked.add(path)
        if _is_packed(path):
            async for batch in self._rest(path, found, known, stop):
                yield batch
            self._settled[path] = _mark(found)
            return
        file = await asyncio.to_thread(Path(path).open, "rb")
        self._tails[path] = Tail(file, await self._resumed(path, file, known))

    async def _resumed(self, path: str, file: BinaryIO, known: Position | None) -> Content:
        """The file stands at its position, and what was read before is recalled."""
        position = self._positions.add(path, os.fstat(file.fileno()), known)
        content = Content(position, self._begin(), self._longest, self._positions)
        content.head = os.pread(file.fileno(), min(HEAD, position.offset), 0)
        content.recall_header(os.pread(file.fileno(), min(_HEADER, position.offset), 0))
        file.seek(position.counted_from)
        splitter = LineSplitter(self._longest)
        splitter.go_on(1 if position.counted_from else 0)
        while left := position.offset - file.tell():
            chunk = await asyncio.to_thread(file.read, min(_CHUNK, left))
            if not chunk:
                break
            content.recall(splitter.feed(chunk), self._identify)
        return content

    async def _advance(self, path: str, tail: Tail, stop: asyncio.Event) -> AsyncGenerator[Batch, None]:
        if tail.truncated():
            self._tails.pop(path).file.close()
            return
        chunk = await asyncio.to_thread(tail.file.read, _CHUNK)
        if chunk:
            self._read(len(chunk))
            if (batch := tail.content.feed(chunk)) is not None:
                yield batch
            return
        held, named = os.fstat(tail.file.fileno()), _stat(path)
        if named is not None and not os.path.samestat(held, named):
            tail.replaced = time.monotonic()
            self._leaving.append(self._tails.pop(path))
        elif not held.st_nlink or held.st_mtime < time.time() - _QUIET:
            self._settled[path] = _mark(held)
            self._tails.pop(path).file.close()

    async def _leave(self, tail: Tail, stop: asyncio.Event) -> AsyncGenerator[Batch, None]:
        """The rest of a file that has a successor."""
        chunk = await asyncio.to_thread(tail.file.read, _CHUNK)
        batch = None
        if chunk:
            self._read(len(chunk))
            batch = tail.content.feed(chunk)
        elif tail.replaced is not None and time.monotonic() - tail.replaced >= self.linger:
            # What the writer left without a line end is complete now: nobody writes there any more.
            batch = tail.content.end()
            self._leaving.remove(tail)
            tail.file.close()
        if batch is not None:
            yield batch

    def _holds(self, found: os.stat_result) -> bool:
        """The file is being read under another name."""
        held = [*self._tails.values(), *self._leaving]
        return any(os.path.samestat(os.fstat(tail.file.fileno()), found) for tail in held)

    async def _unread(
        self, path: str, present: os.stat_result, successor: bool, stop: asyncio.Event
    ) -> AsyncGenerator[Batch, None]:
        """What was written under this name before the file that has it now, and not read.

        Files that were never seen are part of it only where the present one is new, too.
        """
        last = self._positions.last_of(path)
        if last is None:
            return
        seen = last.seen
        for file, found in rotated(path):
            if os.path.samestat(found, present) or self._holds(found):
                continue
            try:
                known = self._positions.find(found, await _head_of(str(file)))
                unread = not known.ended if known is not None else successor and found.st_mtime > seen
                if unread:
                    async for batch in self._rest(str(file), found, known, stop):
                        yield batch
            except OSError as error:
                self.failed[str(file)] = error.strerror or str(error)

    async def _rest(
        self, path: str, found: os.stat_result, known: Position | None, stop: asyncio.Event
    ) -> AsyncGenerator[Batch, None]:
        """A file that grows no more, from where it was left to its end."""
        if _is_packed(path):
            async for batch in self._unpacked(path, found, known, stop):
                yield batch
            return
        with await asyncio.to_thread(Path(path).open, "rb") as file:
            content = await self._resumed(path, file, known)
            while not stop.is_set() and (chunk := await asyncio.to_thread(file.read, _CHUNK)):
                self._read(len(chunk))
                if (more := content.feed(chunk)) is not None:
                    yield more
        if not stop.is_set() and (last := content.end()) is not None:
            yield last

    async def _unpacked(
        self, path: str, found: os.stat_result, known: Position | None, stop: asyncio.Event
    ) -> AsyncGenerator[Batch, None]:
        position = self._positions.add(path, found, known)
        left_at, begun = position.offset, 0
        content = Content(position, self._begin(), self._longest, self._positions)
        recalled = LineSplitter(self._longest)
        async for chunk in content_of(path, stop, self._read):
            before = chunk[: max(0, left_at - begun)]
            begun += len(chunk)
            if before:
                content.recall(recalled.feed(before), self._identify)
                content.head += before[: HEAD - len(content.head)]
            if len(before) < len(chunk) and (batch := content.feed(chunk[len(before) :])) is not None:
                yield batch
        if not stop.is_set() and (batch := content.end()) is not None:
            yield batch


async def _head_of(path: str) -> bytes:
    """The first bytes of a file's content, or those that there are before a fault."""
    head = b""
    try:
        async with aclosing(content_of(path, asyncio.Event())) as content:
            async for chunk in content:
                head += chunk[: HEAD - len(head)]
                if len(head) == HEAD:
                    break
    except UnreadableFileError:
        # Reading it says what is wrong with it.
        return head
    return head


def _is_packed(path: str) -> bool:
    with Path(path).open("rb") as file:
        return unpacking(file.read(4)) is not None


def _stat(path: str) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except FileNotFoundError:
        return None


def _mark(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


async def _pause(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), _PAUSE)
    except TimeoutError:
        return
