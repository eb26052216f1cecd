"""One record on its way to live clients."""

from collections.abc import Callable
from typing import Literal

from schemas.kinds import SESSION_CLOSED_CODE, SESSION_OPEN_CODE
from schemas.records import Event, Session, State

View = Literal["events", "sessions"]
VIEWS: tuple[View, ...] = ("events", "sessions")


class Item:
    """A record, shared by all clients that get it. ``code`` and ``text`` are what types are matched with.

    ``size`` is that of its message, bytes. ``position`` is the log's position behind it, as clients give it back;
    empty where nobody wants it.
    """

    __slots__ = ("_bodies", "code", "position", "record", "sensor", "size", "text", "view")

    def __init__(self, record: Event | Session, size: int) -> None:
        self.record: Event | Session | None = record
        self.sensor = record.sensor
        self.size = size
        self.position = b""
        self._bodies: dict[object, bytes] = {}
        self.view: View
        if isinstance(record, Event):
            self.view, self.code, self.text = "events", record.type, record.kind
        else:
            self.view, self.text = "sessions", record.protocol
            # The same rule as for pages (dialects.honeytrap.rows).
            self.code = SESSION_OPEN_CODE if record.state is State.OPEN else SESSION_CLOSED_CODE

    @property
    def dropped(self) -> bool:
        """Whether it had to go before everybody had it."""
        return self.record is None

    def body(self, write: Callable[[Event | Session], bytes]) -> bytes:
        """The record as ``write`` writes it, which happens once for all clients."""
        found = self._bodies.get(write)
        if found is None:
            if self.record is None:
                raise RuntimeError("a record that was dropped cannot be sent")
            found = self._bodies[write] = write(self.record)
        return found

    def drop(self) -> None:
        """Lets go of what takes memory."""
        self.record = None
        self._bodies.clear()
