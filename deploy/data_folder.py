"""The data folder: one ``sojourn up`` at a time, writable, with room on its disk."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from deploy.errors import CannotStartError

#: Below this many free bytes ClickHouse refuses or breaks off its first merges, so it is not started at all.
ROOM_NEEDED = 200_000_000


class DataFolder:
    """Held as a context: the lock is on ``DIR/lock``, and the kernel gives it back however the process ends."""

    def __init__(self, path: Path, temporary: bool = False) -> None:
        self.path = path
        self._temporary = temporary
        self._lock: int | None = None

    @classmethod
    def ephemeral(cls) -> "DataFolder":
        """A folder that is removed at the end."""
        return cls(Path(tempfile.mkdtemp(prefix="sojourn-")), temporary=True)

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def __enter__(self) -> "DataFolder":
        """Raises CannotStartError with a sentence for the person who named the folder."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CannotStartError(
                f"the data folder {self.path} cannot be written: {error.strerror}; choose another with --data"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(lock, 32, 0).decode(errors="replace").strip()
            os.close(lock)
            raise CannotStartError(
                f"the data folder {self.path} is in use by another sojourn up (process {owner or 'unknown'}); "
                "end that one, or choose another folder with --data"
            ) from error
        self._lock = lock
        free = shutil.disk_usage(self.path).free
        if free < ROOM_NEEDED:
            self._close()
            raise CannotStartError(
                f"the disk of {self.path} is full: {free // 1_000_000} MB are free, {ROOM_NEEDED // 1_000_000} MB are "
                "needed; free some space, or choose a folder on another disk with --data"
            )
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            self._close()
            raise CannotStartError(f"the data folder {self.path} cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
