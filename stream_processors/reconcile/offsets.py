"""Holes and doubles in the offsets that ``events`` has of each partition. Blocks; raises one of UNAVAILABLE."""

import msgspec
from clickhouse_connect.driver.client import Client

from stream_processors.sink.places import Place

# Of the partitions with a record in the range; what touches the range counts, with the gaps at its edges.
_HOLES = """
WITH touched AS (
    SELECT _epoch, _topic, _partition, min(_offset) AS least, max(_offset) AS most
    FROM {database:Identifier}.events
    WHERE time >= fromUnixTimestamp64Micro({first:Int64}, 'UTC')
        AND time < fromUnixTimestamp64Micro({last:Int64}, 'UTC')
    GROUP BY _epoch, _topic, _partition)
SELECT _epoch, _topic, _partition, previous + 1, _offset - 1
FROM (
    SELECT _epoch, _topic, _partition, _offset, least, most, lagInFrame(_offset, 1, _offset) OVER (
        PARTITION BY _epoch, _topic, _partition ORDER BY _offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
    FROM (
        SELECT DISTINCT _epoch, _topic, _partition, _offset, least, most
        FROM {database:Identifier}.events INNER JOIN touched USING (_epoch, _topic, _partition)))
WHERE _offset > previous + 1 AND _offset >= least AND previous <= most
ORDER BY 1, 2, 3, 4"""

_LAST = """
SELECT _epoch, _topic, _partition, max(_offset) FROM {database:Identifier}.events
WHERE (_epoch, _topic) IN (SELECT DISTINCT _epoch, _topic FROM {database:Identifier}.events
    WHERE time >= fromUnixTimestamp64Micro({first:Int64}, 'UTC')
        AND time < fromUnixTimestamp64Micro({last:Int64}, 'UTC'))
GROUP BY _epoch, _topic, _partition"""

_DOUBLES = """
SELECT _epoch, _topic, _partition, _offset, _index, count() AS rows FROM {database:Identifier}.events
WHERE time >= fromUnixTimestamp64Micro({first:Int64}, 'UTC')
        AND time < fromUnixTimestamp64Micro({last:Int64}, 'UTC')
GROUP BY _epoch, _topic, _partition, _offset, _index HAVING rows > 1
ORDER BY 1, 2, 3, 4, 5 LIMIT {most:UInt32}"""

#: Doubles named at most.
MOST_DOUBLES = 10_000


class Hole(msgspec.Struct, frozen=True):
    """Offsets of a partition, both included, of which there is no row."""

    place: Place
    first: int
    last: int

    def __str__(self) -> str:
        offsets = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.place.topic}/{self.place.partition} offset {offsets} (epoch {self.place.epoch})"


class Double(msgspec.Struct, frozen=True):
    """One record that stands in the table more than once."""

    place: Place
    offset: int
    index: int
    rows: int

    def __str__(self) -> str:
        return f"{self.place.topic}/{self.place.partition}/{self.offset}/{self.index} (epoch {self.place.epoch})"


def holes(client: Client, database: str, first: int, last: int, settled: dict[Place, int]) -> list[Hole]:
    """Gaps between stored offsets around a range of event time (microseconds UTC); and of places that are read now,
    what lies between the last stored offset and what the sink has ``settled`` (the first offset that it has not)."""
    parameters = {"database": database, "first": first, "last": last}
    found = [
        Hole(Place(epoch, topic, partition), begin, end)
        for epoch, topic, partition, begin, end in client.query(_HOLES, parameters=parameters).result_rows
    ]
    for epoch, topic, partition, most in client.query(_LAST, parameters=parameters).result_rows:
        place = Place(epoch, topic, partition)
        if settled.get(place, 0) > most + 1:
            found.append(Hole(place, most + 1, settled[place] - 1))
    return found


def doubles(client: Client, database: str, first: int, last: int) -> list[Double]:
    """Records of a range of event time that are stored more than once, the first ``MOST_DOUBLES`` of them."""
    parameters = {"database": database, "first": first, "last": last, "most": MOST_DOUBLES}
    return [
        Double(Place(epoch, topic, partition), offset, index, rows)
        for epoch, topic, partition, offset, index, rows in client.query(_DOUBLES, parameters=parameters).result_rows
    ]
