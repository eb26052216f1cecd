"""What a connection record adds to a session: identity, user, counts. Order of arrival does not matter here."""

from bisect import bisect_right
from typing import Any, Protocol

from schemas.records import Connection, Session

_IDENTITY = (
    "protocol",
    "client_ip",
    "client_port",
    "client_name",
    "server_ip",
    "server_port",
    "server_name",
    "mac",
    "token",
    "location",
    "category",
    "container_id",
    "boot_id",
)

#: What ``says_more`` does not look at.
_USUAL = ("protocol", "client_ip", "client_port", "server_ip", "server_port", "token")

#: Attribute by which a decoder says whether a login succeeded.
LOGIN = "login"
LOGIN_SUCCESS = "success"


def count(session: Session, record: Connection) -> bool:
    """Count the events of ``record`` that were not counted yet; false when all of them were: a replay.

    Per source partition only positions beyond the last one counted are new, because records of one key come in the
    order of their source partition. A record without a source (made by hand) counts as one event.
    """
    positions = record.positions
    if not positions:
        session.event_count += 1
        return True
    counted = session.positions.get(record.source, -1)
    last = positions[-1]
    if last <= counted:
        return False
    session.event_count += (
        len(positions) if positions[0] > counted else len(positions) - bisect_right(positions, counted)
    )
    session.positions[record.source] = last
    return True


def says_more(record: Connection) -> bool:
    """Whether a record carries any of what most connects and disconnects do not: then ``identify`` must look at it.
    So it must when the record ``names_more``."""
    return bool(
        record.user
        or record.attributes
        or record.mac
        or record.category
        or record.location
        or record.container_id
        or record.client_name
        or record.server_name
        or record.boot_id
        or record.user_id
        or record.server_user
    )


class Named(Protocol):
    """What most connects name."""

    protocol: str
    client_ip: str
    client_port: int
    server_ip: str
    server_port: int
    token: str


def names_more(session: Named, record: Named) -> bool:
    """Whether a record names what most connects name, and what the session (or its opening) does not know yet."""
    if session.protocol and session.client_ip and session.client_port and session.server_ip and session.server_port:
        return bool(record.token) and not session.token
    return any(getattr(record, name) and not getattr(session, name) for name in _USUAL)


def identify(session: Session, record: Connection) -> None:
    """Fill what the session does not know yet about who, where and what; take late facts and the user."""
    for name in _IDENTITY:
        value = getattr(record, name)
        if value and not getattr(session, name):
            setattr(session, name, value)
    if record.user or record.user_id or record.server_user:
        _see_user(session, record)
    if record.attributes:
        attributes = dict(record.attributes)
        # Whether a login succeeded belongs to the user it named: decided there.
        attributes.pop(LOGIN, None)
        session.attributes = {**session.attributes, **attributes}


def facts_of(session: Session) -> dict[str, Any]:
    """The fields of a record that would tell a new session all that is known of this one: who, where and what."""
    named = (*_IDENTITY, "user", "user_id", "server_user")
    return {**{name: getattr(session, name) for name in named}, "attributes": dict(session.attributes)}


def _see_user(session: Session, record: Connection) -> None:
    """A login that succeeded outranks one that failed; of equal ones the later wins."""
    login = record.attributes.get(LOGIN, "")
    old = session.attributes.get(LOGIN, "")
    rank = (login == LOGIN_SUCCESS, record.time, record.user)
    old_rank = (old == LOGIN_SUCCESS, session.user_seen_at or 0, session.user)
    if session.user_seen_at is not None and rank <= old_rank:
        return
    session.user = record.user or session.user
    session.user_id = record.user_id or session.user_id
    session.server_user = record.server_user or session.server_user
    session.user_seen_at = record.time
    if login:
        session.attributes = {**session.attributes, LOGIN: login}
