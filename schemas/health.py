"""What worker and sink say of themselves on the topic ``sojourn.health``, once a second, `sojourn up` of the broker."""

import msgspec

#: What ``sojourn up`` says of the embedded broker (component ``broker``) while it takes no new records.
RECYCLING = "the embedded broker is full and starts anew; try again in some seconds"


class PartitionHealth(msgspec.Struct, frozen=True):
    """One assigned partition: next offset to read, and the high-water mark of the last fetch (None before one)."""

    topic: str
    partition: int
    position: int
    highwater: int | None = None


class Heartbeat(msgspec.Struct, kw_only=True):
    """Alive at ``time`` (microseconds UTC), in generation ``generation`` of its group (-1 while joining)."""

    component: str
    instance: str
    time: int
    generation: int
    partitions: list[PartitionHealth] = []
    counters: dict[str, int] = {}
    message: str = ""

    def lag(self) -> int:
        """Messages known to the broker and not yet read, over all partitions."""
        return sum(max(0, (p.highwater or 0) - p.position) for p in self.partitions)
