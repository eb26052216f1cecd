"""Lines of one source that stand together."""

from collections.abc import Callable

import msgspec

from producers.inputs.lines import Line
from producers.record_ids import RecordIds


def _nothing() -> None:
    """Nobody keeps how far this source was read."""


class Batch(msgspec.Struct, frozen=True):
    """Lines in their order, the ids of their source, and what is to be called when Kafka has acknowledged them all."""

    path: str
    lines: list[Line]
    ids: RecordIds
    delivered: Callable[[], None] = _nothing
