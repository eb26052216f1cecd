"""Statements: user text only ever travels as a parameter, and every placeholder has its value."""

import re

from hypothesis import given
from hypothesis import strategies as st

from query_api import keyed, sql
from query_api.dialects.honeytrap import rows
from query_api.filters import EVERYTHING, Filter, Names, either, matches_any, negated, one_of, one_of_texts
from query_api.paging import Page, page_after
from query_api.sources import EVENTS, SESSIONS
from query_api.sql import Span, Statement

#: Texts that cannot occur in SQL of ours by chance.
FOREIGN = st.text(min_size=1).map(lambda text: f"\u2603{text}\u2603")


def placeholders(statement: Statement) -> set[str]:
    return set(re.findall(r"\{(\w+):[A-Za-z0-9()]+\}", statement.sql))


def every_statement(filter: Filter) -> list[Statement]:
    shape, span = rows.event_shape(False), Span(0, 1)
    found = []
    for source in (EVENTS, SESSIONS):
        found += [
            sql.count(source, filter),
            sql.page(source, filter, shape, Page(10, 3)),
            sql.windows(source, filter, None, 3600, 100),
            sql.windows(source, filter, span, 60, 100),
            sql.window(source, filter, shape, span, 0),
            sql.window(source, filter, shape, span, 5),
        ]
    found.append(keyed.page_keys(SESSIONS, filter, Page(10, 3)))
    found.append(sql.page(EVENTS, filter, shape, Page(10, 3), since=5))
    found.append(sql.likely_since(filter, 30))
    return found


@given(st.lists(FOREIGN, max_size=3), st.lists(FOREIGN, max_size=3), st.lists(st.integers(0, 99), max_size=3))
def test_no_text_of_the_user_is_in_the_sql(sensors: list[str], kinds: list[str], codes: list[int]) -> None:
    names = Names()
    filter = matches_any("sensor", sensors, "sensors", names).and_(
        either([rows.event_codes(tuple(codes), names), matches_any("kind", kinds, "types", names)])
    )
    for statement in every_statement(filter):
        assert "\u2603" not in statement.sql
        assert placeholders(statement) == set(statement.parameters)
        assert all("\u2603" not in value for value in statement.settings.values())
    for text in sensors + kinds:
        assert text in filter.parameters.values()


def test_what_keys_tell_is_looked_at_once_where_all_must_hold() -> None:
    told = Filter(of_keys="k")
    both = Filter("a").and_(told).and_(Filter("b"))
    assert (both.where, both.of_keys, both.condition) == ("(a AND b)", "k", "((a AND b)) AND (k)")
    assert either([told, Filter("a")]).where == "((k) OR (a))"
    assert negated(told) == Filter("(NOT ((k)))")
    chosen = keyed.page_of_keys(SESSIONS, both, rows.session_shape(False), [["s"], ["1"]], None, Page(10))
    assert "(a AND b)" in chosen.sql and "(k)" not in chosen.sql
    assert "(k)" in keyed.newest_versions(SESSIONS, both, 20).sql


def test_only_what_may_pass_few_rows_is_looked_for_before_versions_are_merged() -> None:
    by_sensor = matches_any("sensor", ["^a"], "sensors", Names())
    for filter in (EVERYTHING, by_sensor):
        assert sql.count(SESSIONS, filter).otherwise is None
    # Both keys: by the id alone the primary key leaves nothing out.
    looked_up = "(sensor, session_id) IN"
    for filter in (Filter("state = 'open'"), by_sensor.and_(Filter("state = 'open'"))):
        few = sql.count(SESSIONS, filter)
        assert few.otherwise is not None and looked_up in few.sql and looked_up not in few.otherwise.sql
        assert sql.count(EVENTS, filter).otherwise is None
    assert sql.count(SESSIONS, either([by_sensor, Filter("state = 'open'")])).otherwise is None


def test_no_pattern_and_no_code_is_no_filter() -> None:
    names = Names()
    nothing = matches_any("sensor", [], "sensors", names).and_(either([one_of("type", [], names)]))
    assert nothing == EVERYTHING
    assert " WHERE " not in sql.count(EVENTS, nothing).sql


def test_within_a_list_or_and_between_the_lists_and() -> None:
    names = Names()
    filter = matches_any("sensor", ["a", "b"], "sensors", names).and_(one_of("type", [1], names))
    assert filter.where == (
        "((match(sensor, {p0:String}) OR match(sensor, {p1:String})) AND type IN {p2:Array(Int32)})"
    )


def test_an_empty_list_of_names_is_a_filter_that_nothing_passes() -> None:
    assert one_of_texts("kind", [], Names()).where == "kind IN {p0:Array(String)}"


def test_windows_are_bounded_on_both_sides() -> None:
    statement = sql.window(EVENTS, EVERYTHING, rows.event_shape(False), Span(5, 9), 0)
    assert "{start:Int64}" in statement.sql and "{end:Int64}" in statement.sql
    assert (statement.parameters["start"], statement.parameters["end"]) == (5, 9)


def test_sessions_are_read_as_they_stand_without_removed_ones() -> None:
    for statement in (
        sql.count(SESSIONS, EVERYTHING),
        keyed.rows_of_keys(SESSIONS, [["a"], ["b"]], rows.session_shape(False)),
    ):
        assert "sessions FINAL WHERE (NOT removed AND NOT held)" in statement.sql


@given(st.integers(1, 10**8))
def test_the_page_after_a_cut_begins_with_the_first_row_that_was_left_out(rows_sent: int) -> None:
    page = page_after(rows_sent)
    assert page.offset == rows_sent
    assert 1 <= page.size <= 10_000
