"""What ClickHouse derives from events as it stores them: the counts per hour and the names of devices.

A materialized view gets each block after the table has it, and the two are not one step: a server that ends between
them, or whose insert is killed there, has the rows and nothing that follows from them. The rows are found again when
their partition is taken over (``ledger``), and are not inserted a second time. So what follows from rows that may be of
such an insert is made once more.
"""

from collections.abc import Collection

from stream_processors.sink.places import Place
from stream_processors.sink.writer import Writer

#: Hours counted again in one statement.
_HOURS = 5_000


async def derive_again(writer: Writer, place: Place, owner: int, first: int, last: int) -> None:
    """Of the partition's stored rows between two offsets, both included. Harmless where nothing is missing.

    ``owner`` owns the partition, and inserts no rows of it meanwhile. Raises FencedError, UnansweredError.
    """
    await recount(writer, place, owner, await writer.hours(place, first, last))
    await writer.name_devices(place, first, last)


async def recount(writer: Writer, place: Place, owner: int, hours: Collection[int]) -> None:
    """Let the roll-up of events say of these hours, seconds since 1970, what the table has of this partition.

    ``owner`` owns the partition, and inserts no rows of it meanwhile. Raises FencedError, UnansweredError.
    """
    ordered = sorted(hours)
    for start in range(0, len(ordered), _HOURS):
        await writer.recount(place, owner, ordered[start : start + _HOURS])
