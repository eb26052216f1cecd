"""Keys that are longer than a parameter of ClickHouse may be."""

from query_api import keyed
from query_api.shapes import Member, Shape
from query_api.sources import SESSIONS

SHAPE = Shape((Member("id", "session_id"),))


def test_a_long_id_is_put_together_of_pieces_that_each_fit() -> None:
    long = "\\é\n" * 30_000
    statement = keyed.rows_of_keys(SESSIONS, [["s"], [long]], SHAPE)
    pieces = [str(value) for name, value in statement.parameters.items() if name.startswith("k1_")]
    assert "".join(pieces) == long
    assert max(map(len, pieces)) * 8 <= 131_072
    assert all(f"{{{name}:String}}" in statement.sql for name in statement.parameters)
    assert "Array(String)" not in statement.sql


def test_ids_of_a_usual_length_stay_in_two_lists() -> None:
    statement = keyed.rows_of_keys(SESSIONS, [["s", "s"], ["a", "b"]], SHAPE)
    assert statement.parameters == {"k0": ["s", "s"], "k1": ["a", "b"]}
