from producers.record_ids import RecordIds


def ids(lines: list[bytes], window: int = 100) -> list[str]:
    numbered = RecordIds(window)
    return [numbered.next("sensor", line) for line in lines]


def test_the_same_file_again_gives_the_same_ids() -> None:
    assert ids([b"a", b"b", b"a"]) == ids([b"a", b"b", b"a"])


def test_equal_lines_of_one_file_have_different_ids() -> None:
    assert len(set(ids([b"a", b"a", b"b", b"a"]))) == 4


def test_a_line_before_others_changes_no_id_but_those_of_its_equals() -> None:
    assert ids([b"x", b"a", b"b"])[1:] == ids([b"a", b"b"])
    assert ids([b"a", b"a"])[0] == ids([b"a"])[0]


def test_the_sensor_is_part_of_the_id_and_does_not_run_into_the_line() -> None:
    assert RecordIds().next("a", b"b") != RecordIds().next("ab", b"")


def test_equal_lines_are_told_apart_over_a_whole_window_and_memory_stays_bounded() -> None:
    numbered = RecordIds(window=10)
    first = numbered.next("s", b"line")
    for other in range(9):
        numbered.next("s", b"%d" % other)
    assert numbered.next("s", b"line") != first
    for other in range(1000):
        numbered.next("s", b"other %d" % other)
    assert len(numbered._recent) + len(numbered._older) <= 20
    assert numbered.next("s", b"line") == first
