"""Filters as values: a condition and its parameters. What a user sent is never part of the SQL text.

A dialect names columns, which are ours; patterns, codes and texts become server-side parameters ``{p0:String}``.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Literal

import msgspec

from query_api.errors import BadRequestError

#: Longest regex, in characters, and longest list (hard-questions: numbers and names).
PATTERN_LIMIT = 1024
LIST_LIMIT = 100

Value = int | str | list[int] | list[str]
Comparison = Literal["=", "<", "<=", ">", ">="]


class Pattern(msgspec.Struct, frozen=True):
    """A regex that the user sent in ``field``, bound as parameter ``name``."""

    name: str
    text: str
    field: str


class Filter(msgspec.Struct, frozen=True):
    """Rows for which ``where`` holds; the empty text is all rows.

    ``of_keys``: what must hold, too, and can be told by the key of a row: it is the same for each of its versions.
    """

    where: str = ""
    parameters: dict[str, Value] = {}
    patterns: tuple[Pattern, ...] = ()
    of_keys: str = ""
    #: Whether it may pass few of the rows that a primary key leaves.
    narrows: bool = True

    def and_(self, other: "Filter") -> "Filter":
        return _joined("AND", [self, other])

    @property
    def condition(self) -> str:
        """All of it as one condition, empty for all rows."""
        return " AND ".join(f"({part})" for part in (self.where, self.of_keys) if part)

    @property
    def guard(self) -> str:
        """A condition that always holds and lets ClickHouse compile each regex, so that none is refused only when
        there are rows: an expression of constants is calculated while the query is analysed."""
        return " AND ".join(f"match('', {{{p.name}:String}}) >= 0" for p in self.patterns)


EVERYTHING = Filter(narrows=False)


class Names:
    """Parameter names p0, p1 … of one query."""

    def __init__(self) -> None:
        self._names: Iterator[str] = (f"p{n}" for n in count())

    def next(self) -> str:
        return next(self._names)


def matches_any(column: str, patterns: Sequence[str], field: str, names: Names) -> Filter:
    """RE2 regexes, unanchored, any of them; no pattern is no filter."""
    bound = tuple(Pattern(names.next(), text, field) for text in patterns)
    if not bound:
        return EVERYTHING
    where = " OR ".join(f"match({column}, {{{p.name}:String}})" for p in bound)
    # A sensor's rows lie together as it is.
    return Filter(f"({where})", {p.name: p.text for p in bound}, bound, narrows=column != "sensor")


def one_of(expression: str, codes: Sequence[int], names: Names) -> Filter:
    """An integer expression that has one of these values; no code is no filter."""
    if not codes:
        return EVERYTHING
    name = names.next()
    return Filter(f"{expression} IN {{{name}:Array(Int32)}}", {name: list(codes)})


def one_of_texts(column: str, texts: Sequence[str], names: Names) -> Filter:
    """A text column that has one of these values; unlike the others, no text means no row."""
    name = names.next()
    return Filter(f"{column} IN {{{name}:Array(String)}}", {name: list(texts)})


def compared(expression: str, comparison: Comparison, value: Value, kind: str, names: Names) -> Filter:
    """``expression`` against a value of the ClickHouse type ``kind``."""
    name = names.next()
    return Filter(f"{expression} {comparison} {{{name}:{kind}}}", {name: value})


def found_in(expression: str, regex: str, names: Names) -> Filter:
    """A text in which a regex of ours (RE2, so it needs no ``guard``) is found."""
    name = names.next()
    return Filter(f"match({expression}, {{{name}:String}})", {name: regex})


def either(filters: Sequence[Filter]) -> Filter:
    """Any of those that filter at all."""
    return _joined("OR", filters)


def both(filters: Sequence[Filter]) -> Filter:
    """All of them."""
    return _joined("AND", filters)


def negated(filter: Filter) -> Filter:
    """Rows that do not pass; of those that everything passes there are none."""
    passed = filter.condition
    return msgspec.structs.replace(filter, where=f"(NOT ({passed}))" if passed else "false", of_keys="")


def _joined(word: str, filters: Sequence[Filter]) -> Filter:
    parts = [f for f in filters if f.condition]
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return EVERYTHING
    parameters: dict[str, Value] = {}
    for part in parts:
        parameters.update(part.parameters)
    # Only where all must hold can a part be looked at by itself.
    apart = word == "AND"
    conditions = [part.where if apart else part.condition for part in parts]
    of_keys = [part.of_keys for part in parts if apart and part.of_keys]
    return Filter(
        _together(word, [one for one in conditions if one]),
        parameters,
        tuple(p for part in parts for p in part.patterns),
        _together(word, of_keys),
        narrows=(any if apart else all)(part.narrows for part in parts),
    )


def _together(word: str, conditions: Sequence[str]) -> str:
    joined = f" {word} ".join(conditions)
    return f"({joined})" if len(conditions) > 1 else joined


def checked_list(values: Sequence[object], field: str) -> None:
    """Raises BadRequestError for a list that is too long."""
    if len(values) > LIST_LIMIT:
        raise BadRequestError(f"{field} has {len(values)} entries, at most {LIST_LIMIT} are allowed", field=field)


def checked_pattern(text: str, field: str) -> str:
    """A regex short enough and made of Unicode. Raises BadRequestError; whether it is RE2, ClickHouse says."""
    if len(text) > PATTERN_LIMIT:
        raise BadRequestError(
            f"a regex in {field} has {len(text)} characters, at most {PATTERN_LIMIT} are allowed", field=field
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequestError(
            f"a regex in {field} has half a surrogate pair, which is no character", field=field
        ) from None
    return text
