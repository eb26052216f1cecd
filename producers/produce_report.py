"""What became of the lines that `sojourn produce` read."""

import time

import msgspec

from producers.formats import Rejection

#: Rejected lines that are named one by one; the others are counted by reason.
NAMED = 10


class RejectedLine(msgspec.Struct, frozen=True):
    """One line that was not published, and why."""

    path: str
    number: int
    rejection: Rejection


class Report(msgspec.Struct, kw_only=True):
    """Counts while it runs and at its end; ``bytes_total`` is None when a source has no known size.

    ``waiting`` is what keeps it from publishing at the moment, in words; ``positions`` the file that says how far what
    is followed was read.
    """

    format: str
    lines: int = 0
    published: int = 0
    rejected: int = 0
    bytes_read: int = 0
    bytes_total: int | None = None
    reasons: dict[str, int] = msgspec.field(default_factory=dict)
    first_rejected: list[RejectedLine] = []
    unreadable: dict[str, str] = msgspec.field(default_factory=dict)
    failure: str = ""
    stopped: bool = False
    following: bool = False
    waiting: str = ""
    positions: str = ""
    started: float = msgspec.field(default_factory=time.monotonic)
    seconds: float = 0.0

    def reject(self, path: str, number: int, rejection: Rejection) -> None:
        self.rejected += 1
        # Without what follows "expected": that may differ from line to line, and these counts must stay few.
        reason = f"{rejection.reason} {rejection.field}".rstrip()
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if len(self.first_rejected) < NAMED:
            self.first_rejected.append(RejectedLine(path, number, rejection))

    @property
    def exit_code(self) -> int:
        """0 all published; 1 some lines or a part of a file were not; 2 nothing could be read, or Kafka is away.

        To stop is the only way to end following, and the end of nothing else.
        """
        if self.failure or (self.unreadable and not self.lines):
            return 2
        return 1 if self.rejected or self.unreadable or (self.stopped and not self.following) else 0
