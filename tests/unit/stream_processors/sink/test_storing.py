"""The table of cases of ``stream_processors.sink.ledger``, one test each; the writer is played by a list of answers."""

from collections.abc import Sequence

import msgspec
import pytest

from producers.kafka.publisher import Publisher
from producers.record_ids import IMPORT_HEADER
from schemas.dead_letters import DeadLetter
from schemas.metrics import Counters
from schemas.records import Event, Session
from schemas.settings import Kafka
from stream_processors.imports import Imported, Origin
from stream_processors.sink import storing as storing_module
from stream_processors.sink.answers import FencedError, RefusedError, UnansweredError, meaning_of
from stream_processors.sink.ledger import Case, Ledger, Position, case_of
from stream_processors.sink.places import Place
from stream_processors.sink.spool import Block, Row
from stream_processors.sink.storing import Storing

PLACE = Place("epoch-1", "sensor.events", 3)
SESSIONS = Place("epoch-1", "sessions", 3)


class Message(msgspec.Struct, frozen=True):
    offset: int
    value: bytes | None = b"{}"
    key: bytes | None = None
    timestamp: int = 5
    headers: tuple[tuple[str, bytes], ...] = ()


class Table:
    """A table in memory that stores as ClickHouse does: whole inserts, a token only once.

    ``faults`` are raised by the next inserts; a pair (error, stored) says whether the rows went in before.
    """

    def __init__(self, rows: set[Position] | None = None) -> None:
        self.rows: list[Position] = sorted(rows or ())
        self.sessions: list[tuple[str, int]] = []
        self.tokens: list[str] = []
        self.stamps: list[int] = []
        self.bad: set[int] = set()
        self.faults: list[tuple[Exception, bool]] = []
        self.forgets_rows_of_next_insert = False
        self.lookups = 0
        #: Offsets of which everything that follows from them was made again.
        self.derived: list[tuple[int, int]] = []
        #: Ids of imports → where they are stored.
        self.ids: dict[str, set[Origin]] = {}

    async def insert(self, place: Place, owner: int, rows: list[Row], label: str, ingested_at: int) -> None:
        fault, stored_before = self.faults.pop(0) if self.faults else (None, True)
        if isinstance(fault, FencedError):
            raise fault
        self.stamps.append(ingested_at)
        if any(isinstance(row, Event) and row.offset in self.bad for row in rows):
            raise RefusedError("Code 117: bad row")
        if stored_before and label not in self.tokens:
            self.tokens.append(label)
            if self.forgets_rows_of_next_insert:
                self.forgets_rows_of_next_insert = False
            else:
                for row in rows:
                    if isinstance(row, Event):
                        self.rows.append((row.offset, row.index))
                    else:
                        self.sessions.append((row.session_id, row.revision))
        if fault is not None:
            raise fault

    async def stored(self, place: Place, first: int, last: int) -> set[Position]:
        self.lookups += 1
        return {position for position in self.rows if first <= position[0] <= last}

    async def hours(self, place: Place, first: int, last: int) -> set[int]:
        return {3600}

    async def recount(self, place: Place, owner: int, hours: Sequence[int]) -> None:
        assert list(hours) == [3600]

    async def name_devices(self, place: Place, first: int, last: int) -> None:
        self.derived.append((first, last))

    async def imported(self, asked: Sequence[Imported]) -> dict[str, set[Origin]]:
        return {one.record_id: self.ids[one.record_id] for one in asked if one.record_id in self.ids}


def block(first: int, last: int, rows_each: int = 1) -> Block:
    rows = [
        Event(sensor="s", time=1, offset=offset, index=index)
        for offset in range(first, last + 1)
        for index in range(rows_each)
    ]
    messages = [Message(offset) for offset in range(first, last + 1)]
    return Block(first, last, rows, [row.offset for row in rows], messages, ingested_at=1234)


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> list[DeadLetter]:
    written: list[DeadLetter] = []

    async def publish(_: Publisher, batch: list[DeadLetter]) -> None:
        written.extend(batch)

    async def at_once(_: object) -> None:
        return None

    monkeypatch.setattr(storing_module, "publish_letters", publish)
    monkeypatch.setattr(storing_module.Backoff, "sleep", at_once)
    return written


async def store(table: Table, ledger: Ledger, one: Block, counters: Counters | None = None) -> None:
    storing = Storing(table, Publisher(Kafka()), counters or Counters())  # type: ignore[arg-type]
    await storing.store(ledger, 1, one)


async def test_double_a_line_that_was_imported_before_is_left_out_and_settled(letters: list[DeadLetter]) -> None:
    table, ledger, counters = Table(), Ledger(PLACE, 10, 10), Counters()
    table.ids = {"id-10": {("older", "sensor.events", 0, 3)}, "id-12": {(*PLACE.source, 12)}}
    rows = [Event(sensor="s", time=1, offset=offset, record_id=f"id-{offset % 13}") for offset in range(10, 25)]
    headers = (("record_id", b"x"), IMPORT_HEADER)
    messages = [Message(offset, headers=headers if offset != 23 else ()) for offset in range(10, 25)]
    await store(table, ledger, Block(10, 24, rows, list(range(10, 25)), messages, ingested_at=1), counters)
    # 10 is stored elsewhere, 12 here; 24 has the id of 11. 23 has that of 10 and does not say that it is an import.
    assert table.rows == [(offset, 0) for offset in range(11, 24)]
    assert counters.values["records_imported_again_total"] == 2
    assert (ledger.done, letters) == (25, [])


def test_the_case_follows_from_what_the_table_has() -> None:
    rows = [(1, 0), (2, 0)]
    assert case_of(rows, set()) is Case.NEW
    assert case_of(rows, {(1, 0), (2, 0)}) is Case.SAME
    assert case_of(rows, {(2, 0)}) is Case.OVERLAPPING
    assert case_of(rows, {(9, 0)}) is Case.NEW


async def test_new_all_rows_are_inserted_without_a_look_into_the_table(letters: list[DeadLetter]) -> None:
    table, ledger = Table(), Ledger(PLACE, 10, 10)
    await store(table, ledger, block(10, 12))
    assert table.rows == [(10, 0), (11, 0), (12, 0)]
    assert table.tokens == ["10-12"]
    assert table.lookups == 0
    assert table.derived == []
    assert ledger.done == 13


async def test_same_nothing_is_inserted_and_the_offset_moves(letters: list[DeadLetter]) -> None:
    table, ledger, counters = Table({(10, 0), (11, 0)}), Ledger(PLACE, 10, 12), Counters()
    await store(table, ledger, block(10, 11), counters)
    assert table.rows == [(10, 0), (11, 0)]
    assert table.tokens == []
    assert ledger.done == 12
    assert counters.values == {"rows_already_stored_total": 2}


async def test_overlapping_only_the_missing_rows_are_inserted_under_a_token_of_their_own(
    letters: list[DeadLetter],
) -> None:
    table, ledger = Table({(10, 0), (12, 0)}), Ledger(PLACE, 10, 13)
    await store(table, ledger, block(10, 14))
    assert sorted(table.rows) == [(10, 0), (11, 0), (12, 0), (13, 0), (14, 0)]
    assert table.tokens == ["11.0-14.0"]
    assert ledger.done == 15


async def test_overlapping_within_one_message_is_told_apart_by_the_index(letters: list[DeadLetter]) -> None:
    table, ledger = Table({(10, 0)}), Ledger(PLACE, 10, 11)
    await store(table, ledger, block(10, 10, rows_each=2))
    assert sorted(table.rows) == [(10, 0), (10, 1)]


async def test_below_nothing_happens(letters: list[DeadLetter]) -> None:
    table, ledger = Table(), Ledger(PLACE, 20, 20)
    await store(table, ledger, block(10, 19))
    assert table.rows == []
    assert ledger.done == 20


@pytest.mark.parametrize("stored_before", [True, False])
async def test_ambiguous_the_same_insert_is_repeated_until_there_is_an_answer(
    letters: list[DeadLetter], stored_before: bool
) -> None:
    table, ledger, counters = Table(), Ledger(PLACE, 0, 0), Counters()
    table.faults = [(UnansweredError("connection lost"), stored_before), (UnansweredError("refused"), False)]
    await store(table, ledger, block(0, 2), counters)
    assert table.rows == [(0, 0), (1, 0), (2, 0)]
    assert table.tokens == ["0-2"]
    assert set(table.stamps) == {1234}
    assert table.derived == [(0, 2)]
    assert counters.values == {"inserts_retried_total": 2, "rows_inserted_total": 3}


async def test_ambiguous_rows_that_the_server_lost_are_found_and_stored(letters: list[DeadLetter]) -> None:
    table, ledger, counters = Table(), Ledger(PLACE, 0, 0), Counters()
    table.faults = [(UnansweredError("server ended"), True)]
    table.forgets_rows_of_next_insert = True
    await store(table, ledger, block(0, 2), counters)
    assert table.rows == [(0, 0), (1, 0), (2, 0)]
    assert table.tokens == ["0-2", "0.0-2.0#1"]
    assert counters.values["rows_inserted_total"] == 3


async def test_refused_only_the_bad_rows_are_dead_letters_and_the_others_are_stored(
    letters: list[DeadLetter],
) -> None:
    table, ledger, counters = Table(), Ledger(PLACE, 0, 0), Counters()
    table.bad = {3, 17}
    await store(table, ledger, block(0, 19), counters)
    assert sorted(table.rows) == [(offset, 0) for offset in range(20) if offset not in table.bad]
    assert [(letter.offset, letter.stage, letter.reason) for letter in letters] == [
        (3, "sink", "refused_by_store"),
        (17, "sink", "refused_by_store"),
    ]
    assert letters[0].value == b"{}"
    assert "bad row" in letters[0].expected
    assert counters.values == {"rows_inserted_total": 18, "rows_refused_total": 2}
    assert ledger.done == 20


async def test_refused_halves_of_one_message_do_not_share_a_token(letters: list[DeadLetter]) -> None:
    table, ledger = Table(), Ledger(PLACE, 5, 5)
    table.bad = {6}
    await store(table, ledger, block(5, 6, rows_each=4))
    assert sorted(table.rows) == [(5, 0), (5, 1), (5, 2), (5, 3)]
    assert len(table.tokens) == len(set(table.tokens))
    assert len(letters) == 4


async def test_fenced_nothing_more_is_done_and_the_offset_stays(letters: list[DeadLetter]) -> None:
    table, ledger = Table(), Ledger(PLACE, 0, 0)
    table.faults = [(FencedError("fenced"), False)]
    with pytest.raises(FencedError):
        await store(table, ledger, block(0, 2))
    assert table.rows == []
    assert ledger.done == 0


async def test_a_replay_of_everything_changes_nothing(letters: list[DeadLetter]) -> None:
    table = Table()
    await store(table, Ledger(PLACE, 0, 0), block(0, 49))
    again = Ledger(PLACE, 0, 50)
    for first in range(0, 50, 7):
        await store(table, again, block(first, min(first + 6, 49)))
    assert table.rows == [(offset, 0) for offset in range(50)]


async def test_sessions_keep_the_highest_revision_of_a_block_and_are_never_looked_up(
    letters: list[DeadLetter],
) -> None:
    table, ledger = Table(), Ledger(SESSIONS, 0, 0)
    sessions = [
        Session(session_id=name, sensor="s", key="k", revision=revision)
        for name, revision in [("a", 1), ("b", 5), ("a", 3), ("b", 4)]
    ]
    await store(table, ledger, Block(0, 3, sessions, [0, 1, 2, 3], [], ingested_at=1))
    assert table.sessions == [("b", 5), ("a", 3)]
    assert table.lookups == 0
    assert ledger.done == 4


async def test_a_block_without_rows_moves_the_offset(letters: list[DeadLetter]) -> None:
    table, ledger = Table(), Ledger(PLACE, 0, 0)
    await store(table, ledger, Block(0, 9, [], [], [], ingested_at=1))
    assert table.stamps == []
    assert ledger.done == 10


def test_errors_are_told_apart_by_code() -> None:
    assert isinstance(meaning_of(395, "Code: 395. fenced"), FencedError)
    assert isinstance(meaning_of(117, "Code: 117. Incorrect data"), RefusedError)
    assert isinstance(meaning_of(252, "Code: 252. Too many parts"), UnansweredError)
    assert isinstance(meaning_of(60, "Code: 60. Unknown table"), UnansweredError)
    assert isinstance(meaning_of(None, ""), UnansweredError)


async def test_all_refused_a_table_that_takes_no_row_is_tried_again_and_nothing_becomes_a_letter(
    letters: list[DeadLetter], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, ledger, counters = Table(), Ledger(PLACE, 0, 0), Counters()
    # The rows in front are taken before somebody changes the table.
    rows = 4 * storing_module.REFUSED_IN_A_ROW
    table.bad = set(range(rows // 4, rows))
    pauses: list[int] = []

    async def mended_after_three(_: object) -> None:
        pauses.append(len(table.rows))
        if len(pauses) == 3:
            table.bad.clear()

    monkeypatch.setattr(storing_module.Backoff, "sleep", mended_after_three)
    storing = Storing(table, Publisher(Kafka()), counters)  # type: ignore[arg-type]
    await storing.store(ledger, 1, block(0, rows - 1))
    assert pauses == [rows // 4] * 3
    assert sorted(table.rows) == [(offset, 0) for offset in range(rows)], "each once"
    assert letters == []
    assert (ledger.done, storing.trouble) == (rows, "")
    assert counters.values["inserts_retried_total"] == 3


async def test_refused_rows_between_good_ones_are_letters_however_many(letters: list[DeadLetter]) -> None:
    table, ledger = Table(), Ledger(PLACE, 0, 0)
    rows = 3 * storing_module.REFUSED_IN_A_ROW
    table.bad = set(range(0, rows, 2))
    await store(table, ledger, block(0, rows - 1))
    assert len(letters) == len(table.rows) == rows // 2
