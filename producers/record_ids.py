"""Ids for lines of a file: importing the file again gives the same ids, equal lines of one file different ones."""

from hashlib import blake2b

#: Says that a message is a line of a file and its header ``record_id`` the id of that line: it may have come before.
IMPORT_HEADER = ("import", b"1")

#: Equal lines further apart than this many different ones count as the same line.
_WINDOW = 262_144


class RecordIds:
    """Ids for the lines of one file, in their order: hash of sensor, line, and how many equal lines came before.

    Neither the file's name nor a position is in it, so a renamed or rotated file gives the same ids. Memory is
    bounded: the counts of the latest 262,144 to 524,288 different lines are kept (equal lines of a log have the same
    time, so they stand together).
    """

    def __init__(self, window: int = _WINDOW) -> None:
        self._window = window
        #: How often the older half was forgotten.
        self.turns = 0
        self._recent: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}

    def next(self, sensor: str, line: bytes) -> str:
        """32 hexadecimal digits."""
        hashed = blake2b(sensor.encode() + b"\0" + line, digest_size=16)
        digest = hashed.digest()
        count = self._recent.get(digest)
        if count is None:
            count = self._older.get(digest, 0)
            if len(self._recent) >= self._window:
                self._older, self._recent = self._recent, {}
                self.turns += 1
        self._recent[digest] = count + 1
        if not count:
            return digest.hex()
        hashed.update(b"\0%d" % count)
        return hashed.hexdigest()
