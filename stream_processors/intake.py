"""Batches, and what transport and worker share: where reading starts, what may be committed, which epochs are read."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from faust.types import TP

from producers.kafka.holes import Gap
from producers.kafka.message import Message
from schemas.metrics import Counters
from schemas.settings import Settings
from stream_processors.ledger import Ledger


class RecordBatch:
    """Raw records of one partition, ascending. ``processed`` lets its offsets be committed; nothing else does."""

    __slots__ = ("first", "generation", "last", "processed", "records", "tp")

    def __init__(self, tp: TP, records: Sequence[Message], generation: int) -> None:
        self.tp = tp
        #: Fewer than came where an import brings again what is known, none when its batch is done.
        self.records = records
        self.first, self.last = records[0].offset, records[-1].offset
        self.generation = generation
        self.processed = False


class Start(msgspec.Struct, frozen=True):
    """Where reading of a partition goes on whose state this worker has kept: behind what it has applied."""

    position: int
    floor: int | None = None


class Intake:
    """What the transport asks of the worker, and what the worker may ask of the transport."""

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self.settings = settings
        self.counters = counters
        #: Topic → epoch: written beside each committed offset, so that an offset of another life is never believed.
        self.epochs: Mapping[str, str] = {}
        #: Partitions whose state was kept over a rebalance.
        self.starts: dict[TP, Start] = {}
        self.ledger: Ledger[TP] = Ledger()
        #: A hole was given up: called before anything behind it is delivered.
        self.on_gap: Callable[[TP, Gap], Awaitable[None]] | None = None
        #: A partition's log stands before the offset we had come to: called to learn the epochs again.
        self.on_rewound: Callable[[TP], Awaitable[None]] | None = None
        #: What was begun is finished, and the partitions are about to go: called before the last commit.
        self.on_leaving: Callable[[], Awaitable[None]] | None = None
