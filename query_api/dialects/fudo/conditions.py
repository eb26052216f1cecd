"""The text of ``filter``: ``attribute.operator(value,…)``, joined by commas that all must hold (fudo-facts 2.3).

A value that has a comma, a parenthesis or spaces at its ends stands in double quotes, where ``\\"`` and ``\\\\`` are a
quote and a backslash; the document does not say how such a value is written.
"""

import re

import msgspec

from query_api.documents import shown
from query_api.errors import BadRequestError
from query_api.filters import LIST_LIMIT

FILTER = "filter"
_HEAD = re.compile(r"(!?)([A-Za-z_][A-Za-z0-9_.]*)")
_PLAIN = re.compile(r'[^,()"]*')
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPED = re.compile(r"\\(.)")


class Condition(msgspec.Struct, frozen=True):
    """``attribute`` is empty for ``blocked`` and ``!blocked``, whose operator has the mark."""

    attribute: str
    operator: str
    values: tuple[str, ...] = ()


def parse(text: str) -> list[Condition]:
    """Conditions in order. Raises BadRequestError that says where the text cannot be read."""
    found: list[Condition] = []
    at = 0
    while True:
        condition, at = _condition(text, at)
        found.append(condition)
        if len(found) > LIST_LIMIT:
            raise BadRequestError(f"filter has more than {LIST_LIMIT} conditions", field=FILTER)
        if at == len(text):
            return found
        if text[at] != ",":
            raise _error(text, at, "a comma or the end")
        at += 1


def _condition(text: str, at: int) -> tuple[Condition, int]:
    while at < len(text) and text[at] == " ":
        at += 1
    head = _HEAD.match(text, at)
    if not head:
        raise _error(text, at, "attribute.operator(value)")
    marked, path = head.groups()
    at = head.end()
    attribute, _, operator = path.rpartition(".")
    if marked or (not attribute and operator == "blocked"):
        if path != "blocked":
            raise _error(text, head.start(), "!blocked, the only condition that begins with a mark")
        return Condition("", marked + operator), at + 2 if text.startswith("()", at) else at
    if not attribute or at == len(text) or text[at] != "(":
        raise _error(text, at, "attribute.operator(value)")
    values, at = _values(text, at + 1)
    return Condition(attribute, operator, values), at


def _values(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """What stands between the parentheses, and where the closing one ends."""
    values: list[str] = []
    if text.startswith(")", at):
        return (), at + 1
    while True:
        quoted = _QUOTED.match(text, at)
        plain = _PLAIN.match(text, at)
        if quoted:
            values.append(_ESCAPED.sub(r"\1", quoted[1]))
            at = quoted.end()
        elif plain:
            values.append(plain[0].strip())
            at = plain.end()
        if len(values) > LIST_LIMIT:
            raise BadRequestError(f"a list in filter has more than {LIST_LIMIT} values", field=FILTER)
        if text.startswith(")", at):
            return tuple(values), at + 1
        if not text.startswith(",", at):
            raise _error(text, at, 'a comma or a closing parenthesis (values with , ( ) or " stand in double quotes)')
        at += 1


def _error(text: str, at: int, expected: str) -> BadRequestError:
    found = shown(text[at : at + 20]) or "its end"
    return BadRequestError(
        f"filter cannot be read at character {at + 1} ({found}): {expected} was expected", field=FILTER
    )
