"""What stands on the time line of a key: records, and settled sessions that the line goes on from."""

from schemas.records import Action, Connection, Session
from schemas.times import SECOND

#: Signs of life of a flow within this time of the first are one mark: no number is used again so soon.
_TOGETHER = 10 * SECOND
#: What a sign of life of a flow may say.
_FACTS = ("protocol", "client_ip", "client_port", "server_ip", "server_port", "server_name", "user")


class Mark:
    """One record on the time line of its key, or a settled session that the line goes on from."""

    __slots__ = ("base", "broker_time", "looked_up", "offset", "record", "time", "weight")

    def __init__(
        self, time: int, record: Connection | None, base: Session | None, broker_time: int, offset: int
    ) -> None:
        self.time = time
        self.record = record
        self.base = base
        self.broker_time = broker_time
        self.offset = offset
        #: Stored events this mark stands for.
        self.weight = 0
        #: A store was asked for what this mark may belong to.
        self.looked_up = False

    @property
    def opens(self) -> bool:
        return self.base is not None or (self.record is not None and self.record.action is Action.CONNECT)

    @property
    def starts(self) -> bool:
        """A record of a flow that knows when the flow began: this mark stands there."""
        record = self.record
        return record is not None and bool(record.session_id) and record.started == self.time

    def takes(self, record: Connection) -> bool:
        """Whether ``record`` is one more sign of life of a flow that says nothing new: a connection may have thousands
        of requests, and a line costs its length per record."""
        mine = self.record
        return (
            mine is not None
            and bool(mine.session_id)
            and mine.started is record.started is None
            and record.action is mine.action is Action.ACTIVITY
            and record.time - self.time <= _TOGETHER
            and not record.attributes
            and all(getattr(record, name) in ("", 0, getattr(mine, name)) for name in _FACTS)
        )

    def take(self, record: Connection, weight: int, broker_time: int) -> None:
        assert self.record is not None
        self.weight += weight
        self.record.last_time = max(self.record.last_time or self.time, record.last_time or record.time)
        self.broker_time = max(self.broker_time, broker_time)

    @property
    def closes(self) -> bool:
        return self.record is not None and self.record.action is Action.DISCONNECT


def precedence(mark: Mark) -> tuple[bool, str]:
    """Of the records that name one start the complete one speaks first."""
    assert mark.record is not None
    return mark.record.action is not Action.COMPLETE, mark.record.record_id


def may_open(mark: Mark) -> bool:
    """Activity of a format in which any event opens a session."""
    return mark.record is not None and mark.record.opens and mark.record.action is Action.ACTIVITY
