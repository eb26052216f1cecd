"""The query language of SPS: what it refuses, with words and a place; nothing of it is ever part of the SQL."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from query_api.dialects.sps.event_fields import EVENT
from query_api.dialects.sps.query import query_filter
from query_api.dialects.sps.session_fields import SESSION
from query_api.errors import BadRequestError
from query_api.filters import Filter, Names


def parsed(text: str) -> Filter:
    return query_filter(text, EVENT, "q", Names())


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("nosuch:x", 1, "has no property nosuch"),
        ("content:a AND nosuch:x", 15, "has no property nosuch"),
        ('content:"abc', 9, "a quote that is not closed"),
        ('content:a AND type:"abc def', 20, "a quote that is not closed"),
        ("content:[a TO b]", 9, "does not fit content: ranges work for integers only"),
        ("time:[2017 TO 2018]", 6, "start and end choose a time"),
        ("[1 TO 2]", 1, "a range without a property"),
        ("channels_id:x", 13, "does not fit channels_id: an integer was expected"),
        ("channels_id:1.5", 13, "an integer was expected"),
        ("channels_id:1*", 13, "wildcards work for texts only"),
        ("record_id:[1 TO x]", 11, "an integer was expected"),
        ("record_id:1234567890123456789012", 11, "an integer was expected"),
        ("content:2001:db8::1", 18, "must be quoted"),
        ("content:a)", 10, "cannot be understood from )"),
        ("content:a AND OR b", 15, "cannot be understood from OR b"),
        ("content:'a", 9, "where no term may begin"),
        ("content:a~2", 9, "has a fuzzy term (~)"),
        ('"a b"~3', 1, "has a proximity (~)"),
        ("content:a^2", 9, "has a boost (^)"),
        ("content:/a.*/", 9, "has a regex"),
        ("record_id:>5", 11, "has a comparison (>)"),
        ("record_id:<=5", 11, "has a comparison (<)"),
        ("content:(a type:b)", 12, "names the property type within that of content"),
        ('\\"a b\\" AND nosuch:x', 13, "has no property nosuch"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, place: int, words: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parsed(text)
    assert caught.value.field == "q"
    assert words in caught.value.message
    assert f"q at character {place} " in caught.value.message


@pytest.mark.parametrize("text", ["content:(a b", "content:", "a AND", "NOT", "content:[1 TO", "(", "+"])
def test_a_query_that_ends_in_the_middle_says_so(text: str) -> None:
    with pytest.raises(BadRequestError, match="q ends in the middle"):
        parsed(text)


def test_length_depth_and_terms_are_bounded_before_anything_walks_the_tree() -> None:
    for text, words in (
        ("a" * 4097, "4097 characters, at most 4096"),
        ("(" * 51 + "a" + ")" * 51, "deeper than 50"),
        ("(" * 2000, "deeper than 50"),
        ("NOT " * 1000 + "a", "nested too deeply"),
        ("-" * 4000 + "a", "nested too deeply"),
        ("content:" * 500 + "a", "nested too deeply"),
        (" ".join("a" for _ in range(201)), "has 201 terms, at most 200"),
    ):
        with pytest.raises(BadRequestError, match=words):
            parsed(text)
    assert parsed("(" * 50 + "a" + ")" * 50) == parsed("a")
    # Parentheses in a phrase are text.
    assert parsed('"' + "(" * 100 + '"').where


@pytest.mark.parametrize(
    ("text", "same"),
    [
        # NOT binds closest, then AND, then OR, then terms side by side.
        ("a OR b AND c", "a OR (b AND c)"),
        ("a AND b OR c", "(a AND b) OR c"),
        ("NOT a AND b", "(NOT a) AND b"),
        ("NOT a OR b", "(NOT a) OR b"),
        ("a b AND c", "a OR (b AND c)"),
        ("content:(a b)", "content:a OR content:b"),
        ("content:(a AND b)", "content:a AND content:b"),
        ("content:(a AND (b c))", "content:a AND (content:b OR content:c)"),
        ("a -b", "a AND NOT b"),
        ("a NOT b", "a AND NOT b"),
        ("a AND NOT b", "a AND -b"),
        ("content: sudo", "content:sudo"),
        ("sudo", "content:sudo"),
        ('content:\\"Copying Files\\"', 'content:"Copying Files"'),
        ('content:(\\"a b\\" c)', 'content:("a b" c)'),
        ("  a  ", "a"),
        ("content:a\\ b", 'content:"a b"'),
    ],
)
def test_two_ways_to_say_the_same(text: str, same: str) -> None:
    assert parsed(text) == parsed(same)


def test_a_necessary_term_makes_the_others_optional() -> None:
    found = parsed("+a b")
    assert found.where == parsed("a").where and len(found.parameters) == 1


def test_an_escaped_quote_within_a_word_stays_a_quote() -> None:
    assert parsed('content:a\\"b').parameters["p0"].count('\\"') == 1


@given(st.text(max_size=60))
@example("a\x00b")
@example("\ud800")
@example("\\")
@example('"\\')
@example('\\"')
def test_any_text_is_a_filter_or_a_bad_request(text: str) -> None:
    for catalogue in (EVENT, SESSION):
        try:
            found = query_filter(text, catalogue, "q", Names())
        except BadRequestError:
            continue
        assert set(re.findall(r"\{(p\d+):\w+\}", found.where)) == set(found.parameters)


@given(st.text(min_size=1, max_size=20).map(lambda text: f"\u2603{text}\u2603"))
def test_nothing_of_the_text_is_in_the_sql(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    for catalogue, field in ((EVENT, "content"), (SESSION, "user.name"), (SESSION, "start_time")):
        found = query_filter(f"{field}:{quoted} OR {quoted}", catalogue, "q", Names())
        assert "\u2603" not in found.where
        assert all("\u2603" in str(value) for value in found.parameters.values())
