"""What we use of a message that was read: aiokafka's ``ConsumerRecord`` has this shape."""

from collections.abc import Sequence
from typing import Literal, Protocol

from schemas.settings import Kafka


class Message(Protocol):
    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int:
        """Broker or producer time, milliseconds UTC."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


def isolation_level(kafka: Kafka) -> Literal["read_committed", "read_uncommitted"]:
    """Which messages count: what a sensor's aborted transaction left in the log was never published.

    The embedded broker has no transactions.
    """
    return "read_uncommitted" if kafka.embedded else "read_committed"
