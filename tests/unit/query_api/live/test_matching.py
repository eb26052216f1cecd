"""Live clients' filters hold as those of pages do: RE2, unanchored, types and sensors both."""

import pytest

from query_api.errors import BadRequestError
from query_api.live.matching import Matcher, Wish


@pytest.mark.parametrize(
    ("wish", "passes"),
    [
        (Wish(), True),
        (Wish(codes=(5,)), True),
        (Wish(codes=(6,)), False),
        (Wish(codes=(6,), texts=("^conn",)), True),
        (Wish(texts=("nnec",)), True),
        (Wish(texts=("^nnec",)), False),
        (Wish(texts=("CONNECT",)), False),
        (Wish(texts=("(?i)CONNECT",)), True),
        (Wish(sensors=("door",)), True),
        (Wish(sensors=("^lab", "or.1$")), True),
        (Wish(sensors=("^lab",)), False),
        (Wish(codes=(5,), sensors=("^lab",)), False),
        (Wish(restriction="door-.*"), True),
        (Wish(restriction="door"), False),
        (Wish(sensors=("door",), restriction="lab-.*"), False),
        (Wish(sensors=("door.1",), restriction="lab|door.*"), True),
    ],
)
def test_a_record_passes_what_pages_would_show(wish: Wish, passes: bool) -> None:
    matcher = Matcher(wish)
    # A dot is any character, as in ClickHouse.
    sensor = "door\n1" if any(".1" in each for each in wish.sensors) else "door-1"
    # The second answer is one that was kept.
    assert [matcher.matches(sensor, 5, "connect") for _ in range(2)] == [passes, passes]


@pytest.mark.parametrize(
    ("wish", "field"), [(Wish(texts=("(",)), "types"), (Wish(sensors=("a", "(?<x>a)(")), "sensors")]
)
def test_what_is_no_re2_is_refused_by_its_field(wish: Wish, field: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        Matcher(wish)
    assert refused.value.field == field
    assert "RE2" in refused.value.message


def test_ever_new_names_do_not_fill_the_memory() -> None:
    matcher = Matcher(Wish(sensors=("^a",), texts=("^k",)))
    for number in range(20_000):
        assert matcher.matches(f"a{number}", 0, f"k{number}")
    assert len(matcher._known_sensors) + len(matcher._known_texts) < 10_000
