"""Which sensors a principal may see, as a condition on every table that ClickHouse itself adds to every query.

The setting additional_table_filters filters a table before anything else looks at it: in joins, views, subqueries and
counts alike, and with the primary key. So no dialect can forget it, whatever SQL it sends.
"""

import re2

from schemas.regexes import InvalidRegexError, compiled

#: Every table that a reader may see and that has a column ``sensor``; an integration test compares it with ClickHouse.
TABLES = ("device_facts", "events", "events_by_hour", "sessions", "sessions_by_hour", "sps_snapshot_keys")
#: Longest regex, in characters: it is sent with every query.
PATTERN_LIMIT = 1024


class InvalidSensorsError(ValueError):
    """The regex cannot be used; the text says why."""


def checked_sensors(pattern: str) -> str:
    """A regex that ClickHouse will take. Raises InvalidSensorsError."""
    if len(pattern) > PATTERN_LIMIT:
        raise InvalidSensorsError(f"the regex has {len(pattern)} characters, at most {PATTERN_LIMIT} are allowed")
    _compiled(pattern)
    return pattern


def sees(pattern: str | None, sensor: str) -> bool:
    """Whether a restriction lets this sensor through, by the same engine as in ClickHouse."""
    return pattern is None or _compiled(pattern).search(sensor) is not None


def table_filters(pattern: str, database: str) -> str:
    """The value of additional_table_filters: a map from table to condition, as SQL text."""
    condition = f"match(sensor, {_quoted(_whole(pattern))})"
    return "{" + ", ".join(f"{_quoted(f'{database}.{table}')}: {_quoted(condition)}" for table in TABLES) + "}"


def _whole(pattern: str) -> str:
    """Anchored at both ends. ClickHouse finds the prefix for its index only where no group stands before it."""
    return f"^(?:{pattern})$" if "|" in pattern else f"^{pattern}$"


def _compiled(pattern: str) -> "re2._Regexp[str]":
    try:
        # Alone first: a lonely bracket must not pair with the one that anchors it.
        compiled(pattern)
        return compiled(_whole(pattern))
    except InvalidRegexError as error:
        raise InvalidSensorsError(f"the regex is not RE2: {error}") from None


def _quoted(text: str) -> str:
    """A literal of ClickHouse's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
