"""Names of everything that is counted; a typo is a type error."""

from typing import Literal

Counter = Literal[
    # route
    "records_decoded_total",  # records a decoder made of messages
    "records_rejected_total",  # messages a decoder refused: each is a dead letter
    "bad_records_limits_total",  # more bad records than dead_letters.* allow: the worker ends
    "connections_routed_total",  # connection records forwarded to the session machine
    # sessionize
    "connections_applied_total",  # records that changed a session
    "connections_repeated_total",  # records that had been applied before
    "sessions_opened_total",
    "sessions_closed_total",
    "sessions_orphaned_total",
    "sessions_superseded_total",
    "session_corrected_total",  # a guessed close was replaced by evidence
    "sessions_evicted_total",  # more open sessions than the limit
    "writes_unmatched_total",  # an API's record about a session that nobody knows
    "sessions_published_total",  # versions written to the topic sessions
    # consumers
    "holes_seen_total",  # offsets missing in a fetch, read again
    "holes_passed_total",  # offsets that stayed missing: each range is a dead letter
    "epochs_changed_total",  # a topic's log began anew
    # sink
    "rows_inserted_total",
    "rows_already_stored_total",  # left out, because the table had them
    "records_imported_again_total",  # lines of a file that an earlier import had stored: left out
    "rows_refused_total",  # refused by ClickHouse, each is a dead letter
    "inserts_retried_total",
    "inserts_fenced_total",  # another sink owns the partition
    # sojourn up
    "broker_recycles_total",  # the embedded broker was full: drained, ended, started anew
    "broker_memory_bytes",  # what it occupies now
]


class Counters:
    """Counts of one process; read by its heartbeat."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def add(self, name: Counter, amount: int = 1) -> None:
        """Count ``amount`` more; nothing is noted for 0."""
        if amount:
            self.values[name] = self.values.get(name, 0) + amount
