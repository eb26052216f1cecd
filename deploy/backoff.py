"""How long to wait before a process that ended is started again."""


class Backoff:
    """Doubles from ``first`` to ``most`` seconds, and begins anew once a process lived for ``calm`` seconds."""

    def __init__(self, first: float = 0.25, most: float = 30.0, calm: float = 60.0) -> None:
        self._first = first
        self._most = most
        self._calm = calm
        self._next = first

    def after(self, lived: float) -> float:
        """Seconds to wait now that a process ended that had lived for ``lived`` seconds."""
        if lived >= self._calm:
            self._next = self._first
        wait, self._next = self._next, min(self._most, self._next * 2)
        return wait
