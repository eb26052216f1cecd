"""Which imported messages are doubles, given what the table has."""

import msgspec

from producers.record_ids import IMPORT_HEADER
from schemas.records import Event
from stream_processors.imports import Imported, doubles, imported_of, is_import

HERE = ("e", "sensor.native.cowrie", 2)


class Message(msgspec.Struct, frozen=True):
    offset: int = 0
    value: bytes | None = b"{}"
    key: bytes | None = None
    timestamp: int = 5
    headers: tuple[tuple[str, bytes], ...] = ()


def asked(*ids: str) -> list[Imported]:
    return [Imported(10 + number, name, "s", 1) for number, name in enumerate(ids)]


def test_only_a_message_with_both_headers_is_an_import() -> None:
    assert is_import(Message(headers=(("record_id", b"x"), IMPORT_HEADER)))
    assert not is_import(Message(headers=(("record_id", b"x"),)))
    assert not is_import(Message(headers=(IMPORT_HEADER,)))
    assert not is_import(Message(headers=(("record_id", b""), IMPORT_HEADER)))
    assert not is_import(Message(headers=(("record_id", b"x"), ("import", b"0"))))


def test_an_id_that_another_place_has_is_a_double() -> None:
    known = {"a": {("older", "sensor.native.cowrie", 0, 7)}, "b": {(*HERE, 3)}}
    assert doubles(HERE, asked("a", "b", "c"), known) == {10, 11}


def test_what_is_stored_here_stays_however_often_it_is_read() -> None:
    assert doubles(HERE, asked("a", "b"), {"a": {(*HERE, 10)}, "b": {(*HERE, 11)}}) == set()
    # Both stored, which only a hand at the table can do: neither is taken out.
    assert doubles(HERE, asked("a"), {"a": {(*HERE, 10), (*HERE, 3)}}) == set()


def test_the_first_of_equal_ids_in_one_block_is_the_one() -> None:
    assert doubles(HERE, asked("a", "b", "a", "a"), {}) == {12, 13}
    assert doubles(HERE, asked("a", "a"), {"a": {(*HERE, 10)}}) == {11}


def test_a_message_is_asked_for_by_its_first_row_and_without_a_time_that_may_change() -> None:
    rows = [
        (4, Event(sensor="s", time=7, record_id="x/0")),
        (4, Event(sensor="s", time=8, record_id="x/1")),
        (5, Event(sensor="s", time=9, record_id="y/0", flags=["time_replaced"])),
        (6, Event(sensor="s", time=9, record_id="z/0")),
        (7, Event(sensor="s" * 9000, time=9, record_id="long/0")),
    ]
    assert imported_of(rows, {4, 5, 7}) == [Imported(4, "x/0", "s", 7), Imported(5, "y/0", "s", None)]
