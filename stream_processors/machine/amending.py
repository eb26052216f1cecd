"""What an API's record does to a session: fields set, or hidden for ever. Later versions keep both.

Such a record is no event of the session: it is recognised by its ``record_id``, which the session carries, not by its
source position, so that one that waited for a store's answer is not taken for one that was applied.
"""

from schemas.records import Action, Amendment, Connection, Session
from stream_processors.machine.merging import LOGIN
from stream_processors.machine.revisions import next_revision

#: Ids of requests that a session carries.
MOST_REQUESTS = 16

#: Flag of a removed version whose session is another one now, because its opening moved: nobody removed it.
REPLACED = "replaced"

_FIELDS = Amendment.__struct_fields__


def write(session: Session, record: Connection, broker_time: int) -> bool:
    """Apply an ``amend`` or ``remove``; false when it had been applied before."""
    if record.record_id in session.requests:
        return False
    if record.action is Action.REMOVE:
        session.removed = True
    else:
        if record.amend is not None:
            _set(session, record.amend)
        if record.attributes:
            given = {name: text for name, text in record.attributes.items() if name != LOGIN}
            session.attributes = {**session.attributes, **given}
    session.requests = (*session.requests, record.record_id)[-MOST_REQUESTS:]
    session.modified_at = max(session.modified_at, broker_time)
    session.version += 1
    session.revision = next_revision(session, record.time)
    return True


def carry(known: Session, session: Session) -> None:
    """What records of an API did to ``known``, on another making of the same session."""
    for name in _FIELDS:
        setattr(session, name, getattr(known, name))
    session.requests = known.requests
    session.removed = known.removed and not is_replaced(known)


def is_replaced(session: Session) -> bool:
    """Whether this version only says that the session became another one."""
    return session.removed and REPLACED in session.flags


def _set(session: Session, amendment: Amendment) -> None:
    for name in _FIELDS:
        value = getattr(amendment, name)
        if value is not None:
            setattr(session, name, value)
    if amendment.terminate_at == 0:
        session.terminate_at = None
