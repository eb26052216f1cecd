"""What one answer may cost, in one place: every query carries these settings, every answer takes a place."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from query_api.auth.principal import Principal
from query_api.errors import TooManyRequestsError, UnavailableError
from query_api.listen import is_loopback, listen_address
from query_api.owners import takes_lines
from schemas.settings import Http

#: Rows of one result. A page has at most 10,000; a second that an unpaged answer reads at once may hold more.
_RESULT_ROWS = 10_000_000
#: Threads of one query: enough for a page at once, not enough to starve the sink's inserts.
_THREADS = 4


def query_settings(http: Http) -> dict[str, str]:
    """ClickHouse settings of every query the API sends: time, memory, rows read, size of the result."""
    return {
        "max_execution_time": f"{http.query_seconds:g}",
        "max_memory_usage": str(http.query_memory),
        "max_rows_to_read": str(http.query_rows),
        "max_result_bytes": str(http.query_memory),
        "max_result_rows": str(_RESULT_ROWS),
        "max_threads": str(_THREADS),
        # With FINAL too, conditions on the sorting key are looked at before other columns are read; on others never,
        # as they may hold for an old version.
        "optimize_move_to_prewhere_if_final": "1",
        "cancel_http_readonly_queries_on_client_close": "1",
        # The answer waits on the server's side until the query has ended: an error comes as an error, not in the
        # middle of rows, and a slow client holds no query. What exceeds the buffer goes to the server's disk.
        "http_wait_end_of_query": "1",
        "http_response_buffer_size": "1048576",
    }


def unpaged_limit(http: Http) -> int:
    """Rows of an answer without paging; 0 is no limit, which is what nobody but this machine gets unasked."""
    if http.unpaged_rows >= 0:
        return http.unpaged_rows
    return 0 if is_loopback(listen_address(http.listen).host) else 1_000_000


def body_bytes(http: Http, path: str) -> int:
    """Bytes that a body may have, packed and unpacked."""
    return http.ingest_bytes if takes_lines(path) else http.body_bytes


class Gate:
    """Answers in work at once, of everybody and of one credential. One more is told to come back, so none gets slow."""

    def __init__(self, places: int, of_one: int, what: str = "requests are being answered") -> None:
        """``what`` a place is taken for, as words of the refusal."""
        self._what = what
        self._places = places
        self._of_one = of_one
        self._by_name: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        return self._by_name.total()

    @contextmanager
    def place(self, principal: Principal) -> Iterator[None]:
        """Raises TooManyRequestsError when all places of this principal are taken, UnavailableError when all are.

        Where anybody may ask, all that ask are one, and only the whole is bounded.
        """
        name = principal.name
        if principal.origin != "open" and self._by_name[name] >= self._of_one:
            raise TooManyRequestsError(f"{self._of_one} {self._what} for {name} already; try again later")
        if self.taken >= self._places:
            raise UnavailableError(f"{self._places} {self._what} already; try again in a second")
        self._by_name[name] += 1
        try:
            yield
        finally:
            self._by_name[name] -= 1
            if not self._by_name[name]:
                del self._by_name[name]
