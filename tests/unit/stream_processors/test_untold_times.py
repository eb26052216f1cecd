"""No commit passes a record whose event time no tick has told: whoever reads on could not tell it either."""

import time

import pytest
from faust.types import TP

from producers.kafka.publisher import Publisher
from schemas.metrics import Counters
from schemas.settings import Settings
from schemas.topics import CONNECTIONS_IN
from stream_processors.intake import Intake, RecordBatch
from stream_processors.route import Router
from tests.unit.stream_processors.test_route import Action, Raw, connection

HERE, THERE = TP(CONNECTIONS_IN, 0), TP(CONNECTIONS_IN, 1)
CAUGHT_UP = {HERE: (100, 100), THERE: (100, 100)}


class Routing:
    """A router whose batches are all on Kafka; nothing here waits for a broker."""

    def __init__(self) -> None:
        settings = Settings()
        self.intake = Intake(settings, Counters())
        self.intake.epochs = {CONNECTIONS_IN: "e1"}
        self.router = Router(self.intake, Publisher(settings.kafka, client="test"), Counters())
        for tp in (HERE, THERE):
            self.intake.ledger.begin(tp, 0, None, None)

    def route(self, offset: int, second: int, tp: TP = HERE) -> None:
        batch = RecordBatch(tp, [Raw(offset, connection(Action.CONNECT, f"s{offset}", second))], 1)  # type: ignore[list-item]
        self.intake.ledger.delivered(tp, batch)
        self.router.done(batch, self.router.plan(batch))
        batch.processed = True

    def due(self) -> dict[TP, int]:
        return self.intake.ledger.due()


@pytest.fixture
def routing() -> Routing:
    return Routing()


def test_a_time_that_no_tick_has_told_keeps_the_commit_back(routing: Routing) -> None:
    routing.route(5, 10)
    assert routing.due() == {HERE: 5}
    assert routing.router.due_ticks(CAUGHT_UP)
    assert routing.due() == {HERE: 5}, "a tick that is due is not on Kafka yet"
    routing.router.told()
    assert routing.due() == {HERE: 6}


def test_what_comes_while_a_tick_is_sent_waits_for_the_next(routing: Routing) -> None:
    routing.route(5, 10)
    assert routing.router.due_ticks(CAUGHT_UP)
    routing.route(6, 20)
    assert routing.due() == {HERE: 5}
    routing.router.told()
    assert routing.due() == {HERE: 6}
    assert routing.router.due_ticks(CAUGHT_UP)
    routing.router.told()
    assert routing.due() == {HERE: 7}


def test_ticks_that_could_not_be_sent_are_told_with_the_next(routing: Routing) -> None:
    routing.route(5, 10)
    assert routing.router.due_ticks(CAUGHT_UP)
    routing.router.repeat_ticks()
    assert routing.due() == {HERE: 5}
    assert routing.router.due_ticks(CAUGHT_UP)
    routing.router.told()
    assert routing.due() == {HERE: 6}


def test_a_record_that_moves_no_clock_keeps_nothing_back(routing: Routing) -> None:
    routing.route(5, 10)
    routing.router.due_ticks(CAUGHT_UP)
    routing.router.told()
    routing.route(6, 9)
    assert routing.due() == {HERE: 7}


def test_while_a_source_is_not_known_nothing_is_told_and_nothing_committed(routing: Routing) -> None:
    routing.route(5, 10)
    assert routing.router.due_ticks({HERE: (6, 6), THERE: (0, 50)}) == []
    routing.router.told()
    assert routing.due() == {HERE: 5}
    routing.route(0, 3, THERE)
    assert len(routing.router.due_ticks({HERE: (6, 6), THERE: (1, 50)})) == 2
    routing.router.told()
    assert routing.due() == {HERE: 6, THERE: 1}


def test_before_the_epochs_are_known_nothing_is_told(routing: Routing) -> None:
    routing.intake.epochs = {}
    assert routing.router.due_ticks(CAUGHT_UP) == []


def test_a_source_that_stays_unknown_does_not_keep_the_others_back_for_ever(
    routing: Routing, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = {HERE: (6, 6), THERE: (0, None)}
    routing.route(5, 10)
    assert routing.router.due_ticks(unknown) == []
    assert routing.due() == {HERE: 5}
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert routing.router.due_ticks(unknown) == []
    assert routing.due() == {HERE: 6}


def test_a_log_that_began_anew_is_not_kept_back_by_the_old_one(routing: Routing) -> None:
    routing.route(500, 10)
    routing.intake.epochs = {CONNECTIONS_IN: "e2"}
    routing.intake.ledger.begin(HERE, 0, None, None)
    routing.route(3, 20)
    assert routing.due() == {HERE: 3}


def test_a_batch_of_which_an_import_leaves_nothing_is_no_harm(routing: Routing) -> None:
    routing.route(5, 10)
    nothing_left = RecordBatch(HERE, [Raw(6, connection(Action.CONNECT, "s6", 9))], 1)  # type: ignore[list-item]
    routing.intake.ledger.delivered(HERE, nothing_left)
    nothing_left.records = []
    routing.router.done(nothing_left, routing.router.plan(nothing_left))
    nothing_left.processed = True
    assert routing.due() == {HERE: 5}


def test_a_floor_that_was_forgotten_is_set_again(routing: Routing) -> None:
    """Reading is placed anew while a tick is under way."""
    routing.route(5, 10)
    assert routing.router.due_ticks(CAUGHT_UP)
    routing.intake.ledger.begin(HERE, 5, 5, None)
    routing.route(5, 10)
    assert routing.due() == {}
