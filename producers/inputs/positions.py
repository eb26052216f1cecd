"""How far followed files were read and published, kept on disk: where a second run goes on.

A file is known by where it lies (device and inode) and by how it begins, so that it is found again under the name that
a rotation gave it. A copy, or the packed form of it, is known by how it begins alone; that takes a beginning long
enough to be no coincidence. A position is kept when Kafka has acknowledged everything before it: after a crash some
lines are published a second time, with the same ids.
"""

import fcntl
import os
import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TextIO

import msgspec

#: Bytes by which a file is known, and how many it takes where nothing but them says that it is the same.
HEAD = 1024
_TELLING = 256

#: Files that are remembered; the one read longest ago is forgotten first.
_REMEMBERED = 10_000


class PositionsError(OSError):
    """The positions cannot be read or kept; the text says why."""


class Position(msgspec.Struct, kw_only=True):
    """How far one file was read: bytes of its content (unpacked) and the lines that they are.

    ``counted_from`` is where equal lines began to be counted, ``ended`` says that nothing more can come, ``seen`` is
    when something of it was published last (seconds since 1970).
    """

    path: str
    device: int
    inode: int
    head_size: int = 0
    head: str = ""
    offset: int = 0
    lines: int = 0
    counted_from: int = 0
    ended: bool = False
    seen: float = 0.0

    def begins(self, head: bytes) -> bool:
        """Whether a file of this beginning may be the one."""
        return len(head) >= self.head_size and digest_of(head[: self.head_size]) == self.head


class _Kept(msgspec.Struct, kw_only=True):
    """The file on disk."""

    format: str
    kafka: str
    sources: list[str]
    files: list[Position] = []
    cursors: dict[str, str] = {}


def digest_of(head: bytes) -> str:
    """A file's beginning, so that none of its content is kept elsewhere."""
    return blake2b(head, digest_size=16).hexdigest()


def default_path(data: str, format_name: str, kafka: str, sources: Sequence[str]) -> Path:
    """Where the positions of one call are kept: another call with the same format, brokers and sources finds them."""
    named = sorted(source if ":" in source else str(Path(source).absolute()) for source in sources)
    digest = blake2b(repr((kafka, named)).encode(), digest_size=6).hexdigest()
    return Path(data) / "produce" / f"{format_name}-{digest}.json"


class Positions:
    """The positions of one run. ``open`` takes them for this process alone, ``close`` keeps them and lets go."""

    def __init__(self, path: Path, format_name: str, kafka: str, sources: Sequence[str]) -> None:
        self.path = path
        self._kept = _Kept(format=format_name, kafka=kafka, sources=list(sources))
        self._lock: TextIO | None = None
        self._dirty = False

    def open(self, *, from_start: bool = False) -> None:
        """Read what an earlier run kept; ``from_start`` forgets it. Raises PositionsError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self.path.with_suffix(".lock").open("w")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PositionsError(f"{self.path} is in use: another sojourn produce follows the same") from None
            if from_start or not self.path.exists():
                self._dirty = True
                # What cannot be kept is said before anything is published.
                self.save()
                return
            kept = msgspec.json.decode(self.path.read_bytes(), type=_Kept)
        except PositionsError:
            raise
        except OSError as error:
            raise PositionsError(f"positions cannot be kept in {self.path}: {error.strerror or error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PositionsError(f"{self.path} does not hold positions ({error}); --from-start begins anew") from error
        self._kept.files, self._kept.cursors = kept.files, kept.cursors

    def find(self, found: os.stat_result, head: bytes) -> Position | None:
        """What is known of the file that begins so; None for one that was never read."""
        for each in reversed(self._kept.files):
            if (each.device, each.inode) == (found.st_dev, found.st_ino) and each.begins(head):
                return each
        return max(
            (each for each in self._kept.files if each.head_size >= _TELLING and each.begins(head)),
            key=lambda each: each.offset,
            default=None,
        )

    def last_of(self, path: str) -> Position | None:
        """The file that was read last under this name."""
        return next((each for each in reversed(self._kept.files) if each.path == path), None)

    def add(self, path: str, found: os.stat_result, known: Position | None) -> Position:
        """A position of its own for this file: that of the same content, where it is known, else its beginning."""
        if known is not None and (known.device, known.inode) == (found.st_dev, found.st_ino):
            self._kept.files.remove(known)
            position = known
            position.path = path
        elif known is not None:
            position = msgspec.structs.replace(known, path=path, device=found.st_dev, inode=found.st_ino, ended=False)
        else:
            position = Position(path=path, device=found.st_dev, inode=found.st_ino, seen=time.time())
        self._kept.files.append(position)
        if len(self._kept.files) > _REMEMBERED:
            self._kept.files.remove(min(self._kept.files, key=lambda each: each.seen))
        return position

    def moved(self, position: Position) -> None:
        """It was changed by its reader: everything before it is acknowledged."""
        position.seen = time.time()
        self._dirty = True

    def cursor(self, source: str) -> str:
        """Where the journal was left; "" at its beginning."""
        return self._kept.cursors.get(source, "")

    def set_cursor(self, source: str, cursor: str) -> None:
        self._kept.cursors[source] = cursor
        self._dirty = True

    def save(self) -> None:
        """Keep them, if there is anything new: whole or not at all. Raises PositionsError."""
        if not self._dirty:
            return
        self._dirty = False
        beside = self.path.with_suffix(".new")
        try:
            with beside.open("wb") as file:
                file.write(msgspec.json.encode(self._kept))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            raise PositionsError(f"positions cannot be kept in {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Raises PositionsError."""
        if self._lock is None:
            return
        try:
            self.save()
        finally:
            self._lock.close()
            self._lock = None
