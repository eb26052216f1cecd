"""When bad records are too many."""

from schemas.settings import DeadLetters
from stream_processors.dead_letters.limits import BadRecords


def counted(limits: DeadLetters, *batches: str) -> list[str]:
    """What each batch says; a batch is written as one letter per record, x for a bad one."""
    records, said = BadRecords(limits), []
    for batch in batches:
        if "x" in batch:
            said.append(records.mixed([kind == "x" for kind in batch]))
        else:
            records.good(len(batch))
            said.append("")
    return said


def test_the_defaults_let_a_flood_of_bad_records_pass() -> None:
    assert counted(DeadLetters(), *["x" * 4000] * 100) == [""] * 100


def test_the_share_is_judged_over_a_full_window_and_old_batches_leave_it() -> None:
    limits = DeadLetters(max_share=0.5, window=10)
    assert counted(limits, "xxxxx", "xx..") == ["", ""], "nine records are no window"
    assert counted(limits, "xxxxx", ".....") == ["", ""], "half is allowed"
    said = counted(limits, "xxxxx", "x....")
    assert said == ["", "6 of the latest 10 records cannot be used, dead_letters.max_share is 0.5"]
    assert counted(limits, "xxxxx", ".....", ".....", "xxxxx", ".....") == [""] * 5


def test_bad_records_in_a_row_are_counted_over_batches_and_any_good_one_ends_the_row() -> None:
    limits = DeadLetters(max_consecutive=3)
    assert counted(limits, ".xxx", ".xx", "x.x") == ["", "", ""]
    words = "4 records in a row cannot be used, dead_letters.max_consecutive is 3"
    assert counted(limits, ".xx", "xx.") == ["", words]
    assert counted(limits, "xxx", "", "x") == ["", "", words]
