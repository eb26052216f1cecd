"""Sessions that memory has forgotten, or never knew: whose store is to be asked before a record is given up.

Source: hard-questions, "Changing what state has forgotten". Never in the hot path: only when grace is over.
"""


class Lookups:
    """Session keys to ask a store about; without a store every question is answered at once: nothing is known."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._wanted: dict[bytes, None] = {}

    def ask(self, key: bytes) -> bool:
        """Want to know of ``key``; false when nobody will answer."""
        if self.enabled:
            self._wanted[key] = None
        return self.enabled

    def take(self, most: int) -> list[bytes]:
        """Up to ``most`` keys, longest wanted first; each must be resolved, or asked again."""
        taken = list(self._wanted)[:most]
        for key in taken:
            del self._wanted[key]
        return taken

    def give_back(self, keys: list[bytes]) -> None:
        """Want to know of ``keys`` again: the store did not answer."""
        self._wanted.update(dict.fromkeys(keys))
