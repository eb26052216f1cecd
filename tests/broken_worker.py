"""A worker with a bug: every batch of connection records raises."""

import sys

from stream_processors.intake import RecordBatch
from stream_processors.sessionize import Published, Sessions
from tests.workers import main


def _broken(self: Sessions, batch: RecordBatch) -> Published:
    if any(message.key is not None for message in batch.records):
        raise ZeroDivisionError("a bug")
    return Published()


if __name__ == "__main__":
    Sessions.plan = _broken  # type: ignore[method-assign]
    sys.exit(main())
