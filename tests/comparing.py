"""Sessions as two sources of them are compared: every field but those that depend on the order of arrival."""

from collections.abc import Iterable
from typing import Any

from schemas.records import Session

#: What counts versions and broker times; ``positions`` are the machine's own notes, which it publishes now and then.
_ORDER_OF_ARRIVAL = frozenset({"revision", "version", "created_at", "modified_at", "positions"})
FIELDS = tuple(name for name in Session.__struct_fields__ if name not in _ORDER_OF_ARRIVAL)


def rows(sessions: Iterable[Session]) -> list[dict[str, Any]]:
    """The fields that must be equal, by session key and id."""
    found = ({name: getattr(one, name) for name in FIELDS} for one in sessions)
    return sorted(found, key=lambda one: (one["key"], one["session_id"]))
