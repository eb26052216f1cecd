"""What the table holds of one partition: the reason why every record is stored exactly once.

The table itself is the ledger: rows carry (epoch, topic, partition, offset, index), and the offset committed to Kafka
only says where to begin to look. After an assignment the former owner is fenced, then the highest stored offset is
read: the *frontier*. Nothing behind the frontier is stored, and only this sink can store there.

===========  ==================================================  ====================================  ===========
case         when                                                what is inserted                      then commit
===========  ==================================================  ====================================  ===========
new          the block begins behind the frontier                all its rows                          yes
same         the table has all its rows                          nothing                               yes
overlapping  the table has some of its rows                      the others, under a token of theirs   yes
double       a line of a file whose id another place has         the other rows                        yes
             (``imports``)
below        the block ends below what was placed before         nothing: a message delivered twice    no
ambiguous    an insert may or may not have happened: connection  the same rows, token and ingested_at  after the
             lost after the body, time-out, server ended         again, without end; then what the     answer
                                                                 table still lacks
refused      ClickHouse blames the data                          all rows but the bad ones, which are  yes
                                                                 found by halving: dead letters
all refused  row after row is blamed, whatever is in it: the     the same rows again, without end      after the
             table was changed                                                                         answer
fenced       error 395: another sink owns the partition          nothing more                          never
===========  ==================================================  ====================================  ===========

The token (insert_deduplication_token) makes the repeated insert of *ambiguous* harmless; the look into the table
afterwards covers a server that died between remembering a token and keeping the rows. What ClickHouse derives from rows
that were there, or may have been, is made once more (``derived``).
"""

from collections.abc import Collection
from enum import StrEnum

import msgspec

from stream_processors.sink.places import Place

#: Offset and index of a row.
Position = tuple[int, int]


class Case(StrEnum):
    NEW = "new"
    SAME = "same"
    OVERLAPPING = "overlapping"
    BELOW = "below"


class Ledger(msgspec.Struct):
    """One partition: ``done`` is the first offset that is not settled, ``frontier`` the first that the table cannot
    hold yet unless this sink stored it."""

    place: Place
    done: int
    frontier: int

    def is_below(self, last: int) -> bool:
        """Whether everything up to this offset was settled before."""
        return last < self.done

    def may_hold(self, first: int) -> bool:
        """Whether the table may have rows of a block that begins here: then they must be looked up."""
        return first < self.frontier


def case_of(positions: Collection[Position], stored: Collection[Position]) -> Case:
    """The case of rows at these positions, given what the table has of their range."""
    held = sum(1 for position in positions if position in stored)
    if not held:
        return Case.NEW
    return Case.SAME if held == len(positions) else Case.OVERLAPPING


def token_of(place: Place, label: str) -> str:
    """The deduplication token of the rows that ``label`` names within their partition."""
    return f"{place.epoch}:{place.topic}:{place.partition}:{label}"


def query_id_of(place: Place, owner: int, label: str) -> str:
    """The query id of an insert; a new owner kills those of the partition's former ones."""
    return f"{place.query_prefix()}{owner}/{label}"


def label_of_block(first: int, last: int) -> str:
    """The name of a whole block: its offsets, both included."""
    return f"{first}-{last}"


def label_of_part(first: Position, last: Position, refill: int = 0) -> str:
    """The name of some rows of a block, by the positions of the first and the last.

    ``refill`` counts how often rows were found missing after an insert that should have stored them.
    """
    label = f"{first[0]}.{first[1]}-{last[0]}.{last[1]}"
    return f"{label}#{refill}" if refill else label
