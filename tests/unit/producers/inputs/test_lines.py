from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.inputs.lines import Line, LineSplitter


def split(chunks: list[bytes], longest: int = 100) -> list[Line]:
    splitter = LineSplitter(longest)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.end()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"\n\na\n", [b"", b"", b"a"]),
        (b"\xef\xbb\xbfa\nb", [b"a", b"b"]),
        (b"a\n\xef\xbb\xbfb", [b"a", b"\xef\xbb\xbfb"]),
        (b"a\rb\n", [b"a\rb"]),
    ],
)
def test_lines_end_in_lf_or_crlf_and_are_numbered_from_1(stream: bytes, expected: list[bytes]) -> None:
    lines = split([stream])
    assert [line.value for line in lines] == expected
    assert [line.number for line in lines] == list(range(1, len(expected) + 1))
    assert [line.size for line in lines] == [len(value) for value in expected]


@settings(deadline=None)
@given(stream=st.text("ab\r\n", max_size=40), cuts=st.lists(st.integers(0, 40)), longest=st.integers(1, 10))
def test_where_the_chunks_are_cut_means_nothing(stream: str, cuts: list[int], longest: int) -> None:
    whole = stream.encode()
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(places)]
    assert split(pieces, longest) == split([whole], longest)


def test_a_line_that_is_too_long_is_counted_and_not_kept() -> None:
    lines = split([b"12345\n", b"1234", b"56\n12", b"34\r\n", b"1" * 1000, b"1" * 1000, b"\nend"], longest=5)
    assert [(line.value, line.size) for line in lines] == [
        (b"12345", 5),
        (None, 6),
        (b"1234", 4),
        (None, 2000),
        (b"end", 3),
    ]


def test_an_endless_line_takes_no_memory() -> None:
    splitter = LineSplitter(longest=10)
    for _ in range(1000):
        assert splitter.feed(b"x" * 1000) == []
    held = sum(len(part) for part in splitter._parts)
    assert held <= 11


def test_a_stream_that_begins_anew_counts_from_1_and_drops_half_lines() -> None:
    splitter = LineSplitter(100)
    splitter.feed(b"a\nhalf")
    splitter.go_on(0)
    assert splitter.feed(b"b\n") == [Line(1, 1, b"b")]
