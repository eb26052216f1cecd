"""What must be known of a stored session to keep it as bytes: who it is, and when something is due for it."""

import msgspec

from schemas.records import EndReason, State


class StoredSession(msgspec.Struct, kw_only=True, gc=False):
    """Some fields of ``schemas.records.Session``, as they are there, and where it belongs."""

    partition: int
    #: Its key has no id of a sensor's own.
    paired: bool = False
    session_id: str
    sensor: str
    key: str
    state: State = State.OPEN
    end_reason: EndReason = EndReason.NONE
    started_at: int | None = None
    last_activity_at: int = 0
    modified_at: int = 0
    protocol: str = ""
    mac: str = ""
    revision: int = 0
    held: bool = False
    requests: tuple[str, ...] = ()
