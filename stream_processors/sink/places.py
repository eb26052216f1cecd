"""Where rows come from, and the names that follow from it."""

import msgspec
from aiokafka import TopicPartition


class Place(msgspec.Struct, frozen=True, order=True):
    """One partition in one life of its log."""

    epoch: str
    topic: str
    partition: int

    @property
    def topic_partition(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)

    @property
    def source(self) -> tuple[str, str, int]:
        """Epoch, topic and partition."""
        return self.epoch, self.topic, self.partition

    def query_prefix(self) -> str:
        """Query ids of all inserts of this partition begin so, whoever owns it (hard-questions: fencing)."""
        return f"sink/{self.topic}/{self.partition}/"


def place_of(epoch: str, partition: TopicPartition) -> Place:
    return Place(epoch, partition.topic, partition.partition)
