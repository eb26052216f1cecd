"""What we use of a message that was read: aiokafka's ``ConsumerRecord`` has this shape."""

from collections.abc import Sequence
from typing import Protocol


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
