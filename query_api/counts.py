"""Counts of a table that has not changed since they were made.

A count over the current versions of all sessions reads them all: 0.1 s per million. A page of a dialect needs one,
every time. ClickHouse's data change by parts alone, which are made, merged and mutated under new names: while the
names are the same, so is the count.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

import msgspec

#: Counts kept; beyond that the one that was not asked for longest goes.
_ENTRIES = 1000


class _Counted(msgspec.Struct, frozen=True):
    parts: str
    count: int


class Counts:
    """Of one ClickHouse server: elsewhere in a cluster a table has other parts."""

    def __init__(self) -> None:
        self._counted: OrderedDict[Hashable, _Counted] = OrderedDict()

    async def of(self, question: Hashable, parts: str, count: Callable[[], Awaitable[int]]) -> int:
        """The count of ``question`` while the table has these ``parts``: kept, or made now.

        The parts must have been looked at before: a part that came meanwhile is counted too early, never too late.
        """
        known = self._counted.get(question)
        if known is None or known.parts != parts:
            known = _Counted(parts, await count())
        self._counted[question] = known
        self._counted.move_to_end(question)
        if len(self._counted) > _ENTRIES:
            self._counted.popitem(last=False)
        return known.count
