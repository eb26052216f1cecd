"""Counts that are kept while a table has the same parts."""

from query_api.counts import Counts


class Question:
    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> int:
        self.asked += 1
        return self.asked


async def test_a_count_is_made_once_for_the_same_parts_and_anew_for_others() -> None:
    counts, count = Counts(), Question()
    assert [await counts.of("q", parts, count) for parts in ("a", "a", "b", "b", "a")] == [1, 1, 2, 2, 3]


async def test_each_question_has_its_own_and_the_oldest_are_forgotten() -> None:
    counts, count = Counts(), Question()
    for n in range(1001):
        await counts.of(n, "a", count)
    assert await counts.of(1000, "a", count) == 1001
    assert await counts.of(0, "a", count) == 1002
