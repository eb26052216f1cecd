"""The last versions of sessions that ended by evidence, as bytes, for records that come a moment too late."""

from collections.abc import Callable, Iterable


class RecentlyClosed:
    """Remembers the latest ``most`` sessions, or a little less: two generations, of which the older goes as a whole.

    One by one from the front of a dictionary would cost what was deleted there before, each time.
    """

    def __init__(self, most: int, forget: Callable[[Iterable[bytes]], None] = lambda _: None) -> None:
        """``forget`` is told the keys that are let go."""
        self._forget = forget
        self._half = max(1, most // 2)
        #: Read by whoever looks for every record, and finds almost none.
        self.young: dict[bytes, bytes] = {}
        self.old: dict[bytes, bytes] = {}

    def keep(self, key: bytes, version: bytes) -> None:
        """Remember the last version of a session."""
        if len(self.young) >= self._half:
            self._forget(self.old)
            self.old = self.young
            self.young = {}
        self.young[key] = version

    def __contains__(self, key: bytes) -> bool:
        return key in self.young or key in self.old

    def take(self, key: bytes) -> bytes:
        """Forget a session and return its last version. Raises KeyError when it is not remembered."""
        old = self.old.pop(key, None)
        young = self.young.pop(key, old)
        if young is None:
            raise KeyError(key)
        return young
