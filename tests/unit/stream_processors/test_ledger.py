"""Which offsets may be committed."""

from hypothesis import given
from hypothesis import strategies as st

from stream_processors.ledger import Ledger


class Batch:
    def __init__(self, last: int) -> None:
        self.last = last
        self.processed = False


def delivered(ledger: Ledger[str], *lasts: int) -> list[Batch]:
    batches = [Batch(last) for last in lasts]
    for batch in batches:
        ledger.delivered("p", batch)
    return batches


def begun(position: int | None = 0, committed: int | None = None, floor: int | None = None) -> Ledger[str]:
    ledger: Ledger[str] = Ledger()
    ledger.begin("p", position, committed, floor)
    return ledger


def test_a_processed_batch_is_due_behind_its_last_record() -> None:
    ledger = begun()
    (batch,) = delivered(ledger, 9)
    assert ledger.due() == {}
    batch.processed = True
    assert ledger.due() == {"p": 10}


def test_a_batch_waits_for_those_before_it() -> None:
    ledger = begun()
    first, second = delivered(ledger, 9, 19)
    second.processed = True
    assert ledger.due() == {}
    first.processed = True
    assert ledger.due() == {"p": 20}


def test_what_is_committed_is_not_due_again() -> None:
    ledger = begun()
    (batch,) = delivered(ledger, 9)
    batch.processed = True
    ledger.committed(ledger.due().items())
    assert ledger.due() == {}


def test_a_commit_never_passes_the_floor() -> None:
    ledger = begun()
    (batch,) = delivered(ledger, 9)
    batch.processed = True
    ledger.hold("p", 4)
    assert ledger.due() == {"p": 4}


def test_a_floor_that_rises_makes_more_due_without_another_batch() -> None:
    ledger = begun()
    (batch,) = delivered(ledger, 9)
    batch.processed = True
    ledger.hold("p", 4)
    ledger.committed(ledger.due().items())
    ledger.hold("p", None)
    assert ledger.due() == {"p": 10}


def test_a_commit_never_goes_back() -> None:
    ledger = begun(position=20, committed=20, floor=5)
    (batch,) = delivered(ledger, 29)
    batch.processed = True
    assert ledger.due() == {}


def test_a_kept_partition_goes_on_ahead_of_its_commit() -> None:
    ledger = begun(position=50, committed=10, floor=30)
    assert ledger.due() == {"p": 30}
    assert ledger.expected("p") == 50


def test_nothing_is_due_before_anything_was_read() -> None:
    assert begun(position=None).due() == {}
    assert begun(position=0).due() == {}


def test_batches_of_an_earlier_assignment_count_no_more() -> None:
    ledger = begun()
    (old,) = delivered(ledger, 9)
    ledger.begin("p", 0, None, None)
    delivered(ledger, 9)
    old.processed = True
    assert ledger.due() == {}


def test_a_partition_that_is_gone_is_ignored() -> None:
    ledger = begun()
    ledger.clear()
    ledger.hold("p", 3)
    ledger.committed([("p", 5)])
    assert ledger.due() == {}
    assert ledger.position("p") is None
    assert ledger.expected("p") is None


@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    order=st.randoms(use_true_random=False),
    floors=st.lists(st.one_of(st.none(), st.integers(0, 1000)), min_size=20, max_size=20),
)
def test_due_is_always_a_prefix_that_was_processed_and_monotone(
    sizes: list[int], order: object, floors: list[int | None]
) -> None:
    ledger = begun()
    lasts, end = [], 0
    for size in sizes:
        end += size
        lasts.append(end - 1)
    batches = delivered(ledger, *lasts)
    shuffled = list(batches)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    before = 0
    for batch, floor in zip(shuffled, floors, strict=False):
        batch.processed = True
        ledger.hold("p", floor)
        prefix = 0
        for each in batches:
            if not each.processed:
                break
            prefix = each.last + 1
        for offset in ledger.due().values():
            assert before < offset <= prefix
            assert floor is None or offset <= floor
            ledger.committed([("p", offset)])
            before = offset
