"""Conditions as a filter on the sessions: each operator, for the kinds of attribute that it has a meaning for."""

import math
from collections.abc import Callable
from zoneinfo import ZoneInfo

from query_api.addresses import spellings
from query_api.dialects.fudo import times
from query_api.dialects.fudo.conditions import FILTER, Condition, parse
from query_api.dialects.fudo.model import BY_NAME, RELATIONS, Attribute, Kind
from query_api.documents import shown
from query_api.errors import BadRequestError
from query_api.filters import EVERYTHING, Filter, Names, Value, one_of_texts

_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_ORDERED = (Kind.TEXT, Kind.NUMBER, Kind.TIME)
_EVERY_OPERATOR = (
    "in, iin, match, eq, ne, lt, le, gt, ge, isnull, isempty and contains, and by themselves blocked and !blocked"
)

#: SQL of one value and the value, as an attribute of that kind is compared with it.
_Bound = tuple[str, Value]


def filter_of(text: str | None, zone: ZoneInfo) -> Filter:
    """The rows that pass all conditions. Raises BadRequestError."""
    if text is None:
        return EVERYTHING
    names = Names()
    passed = EVERYTHING
    for condition in parse(text):
        passed = passed.and_(_filter(condition, names, zone))
    return passed


def _filter(condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    if not condition.attribute:
        # A session has no switch of that name; what holds it up is its pause.
        return Filter(f"({'NOT ' if condition.operator == '!blocked' else ''}({BY_NAME['paused'].sql}))")
    attribute = _attribute(condition.attribute)
    make = _OPERATORS.get(condition.operator)
    if make is None:
        raise BadRequestError(
            f"filter has no operator {shown(condition.operator)}; known are {_EVERY_OPERATOR}", field=FILTER
        )
    return make(attribute, condition, names, zone)


def _attribute(name: str) -> Attribute:
    attribute = BY_NAME.get(RELATIONS.get(name, name))
    if attribute is None:
        raise BadRequestError(f"filter: a session has no attribute {shown(name)}", field=FILTER)
    if attribute.computed:
        raise BadRequestError(f"filter: {name} is made for the answer and cannot be filtered by", field=FILTER)
    return attribute


def _one(condition: Condition) -> str:
    if len(condition.values) != 1:
        raise BadRequestError(
            f"filter: {_written(condition)} has {len(condition.values)} values, 1 was expected", field=FILTER
        )
    return condition.values[0]


def _written(condition: Condition) -> str:
    return f"{condition.attribute}.{condition.operator}()"


def _bound(
    attribute: Attribute, text: str, condition: Condition, names: Names, zone: ZoneInfo
) -> tuple[str, Value, str]:
    """SQL of a value, the parameter's value and name. Raises BadRequestError when it does not fit the attribute."""
    name = names.next()
    if attribute.kind is Kind.NUMBER:
        return f"{{{name}:Float64}}", _number(text, condition), name
    if attribute.kind is Kind.TIME:
        return f"fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')", times.read(text, zone, _written(condition)), name
    if attribute.kind is Kind.BOOLEAN:
        if text.lower() not in ("true", "false"):
            raise BadRequestError(f"filter: {_written(condition)} must have true or false", field=FILTER)
        return f"{{{name}:Bool}}", text.lower(), name
    return f"{{{name}:String}}", text, name


def _number(text: str, condition: Condition) -> str:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise BadRequestError(f"filter: {_written(condition)} must have a number", field=FILTER)
    return repr(value)


def _has_value(attribute: Attribute) -> str:
    if attribute.kind is Kind.TEXT:
        return f"{attribute.sql} != ''"
    return "1" if attribute.kind is Kind.BOOLEAN else f"isNotNull({attribute.sql})"


def _compared(word: str, attribute: Attribute, condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    sql, value, name = _bound(attribute, _one(condition), condition, names, zone)
    where = f"{attribute.sql} {word} {sql}"
    if attribute.kind is Kind.TEXT and (word != "=" or value == ""):
        where += f" AND {_has_value(attribute)}"
    if attribute.name == "started_at":
        # The same for every session that has a start; this column has an index.
        where += f" AND page_time {word} {sql}"
    return Filter(f"({where})", {name: value})


def _eq(attribute: Attribute, condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    if attribute.address:
        _one(condition)
        return _in(attribute, condition, names, zone)
    return _compared("=", attribute, condition, names, zone)


def _ne(attribute: Attribute, condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    """Whatever ``eq`` leaves out, sessions without a value too."""
    equal = _eq(attribute, condition, names, zone)
    return Filter(f"NOT ifNull({equal.where}, 0)", equal.parameters)


def _ordering(attribute: Attribute, condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    if attribute.kind not in _ORDERED or attribute.values or attribute.address:
        raise BadRequestError(
            f"filter: {attribute.name} has no order, {condition.operator} is for numbers, times and texts", field=FILTER
        )
    return _compared(_COMPARISONS[condition.operator], attribute, condition, names, zone)


def _in(attribute: Attribute, condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    if not condition.values:
        raise BadRequestError(f"filter: {_written(condition)} needs at least one value", field=FILTER)
    if attribute.address:
        written = [spelled for text in condition.values for spelled in spellings(text)]
        found = one_of_texts(attribute.sql, written, names)
        return Filter(f"({found.where} AND {_has_value(attribute)})", found.parameters)
    bound = [_bound(attribute, text, condition, names, zone) for text in condition.values]
    where = f"{attribute.sql} IN ({', '.join(sql for sql, _, _ in bound)})"
    if attribute.kind is Kind.TEXT and "" in condition.values:
        where += f" AND {_has_value(attribute)}"
    return Filter(f"({where})", {name: value for _, value, name in bound})


def _iin(attribute: Attribute, condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    _only_text(attribute, condition)
    if not condition.values:
        raise BadRequestError(f"filter: {_written(condition)} needs at least one value", field=FILTER)
    if attribute.address:
        return _in(attribute, condition, names, zone)
    name = names.next()
    where = f"has(arrayMap(text -> lowerUTF8(text), {{{name}:Array(String)}}), lowerUTF8({attribute.sql}))"
    return Filter(f"({where} AND {_has_value(attribute)})", {name: list(condition.values)})


def _match(attribute: Attribute, condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    """The characters anywhere in the value, upper and lower case told apart."""
    _only_text(attribute, condition)
    name = names.next()
    text = _one(condition)
    return Filter(f"(position({attribute.sql}, {{{name}:String}}) > 0 AND {_has_value(attribute)})", {name: text})


def _only_text(attribute: Attribute, condition: Condition) -> None:
    if attribute.kind is not Kind.TEXT:
        raise BadRequestError(f"filter: {condition.operator} is for texts, {attribute.name} is none", field=FILTER)


def _is_null(attribute: Attribute, condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    if condition.values:
        raise BadRequestError(f"filter: {_written(condition)} takes no value", field=FILTER)
    return Filter(f"(NOT ({_has_value(attribute)}))")


def _contains(attribute: Attribute, condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    raise BadRequestError("filter: contains is for arrays, and a session has no attribute that is one", field=FILTER)


def _blocked(attribute: Attribute, condition: Condition, names: Names, zone: ZoneInfo) -> Filter:
    raise BadRequestError("filter: blocked and !blocked stand by themselves, without an attribute", field=FILTER)


_OPERATORS: dict[str, Callable[[Attribute, Condition, Names, ZoneInfo], Filter]] = {
    "eq": _eq,
    "ne": _ne,
    "lt": _ordering,
    "le": _ordering,
    "gt": _ordering,
    "ge": _ordering,
    "in": _in,
    "iin": _iin,
    "match": _match,
    "isnull": _is_null,
    "isempty": _is_null,
    "contains": _contains,
    "blocked": _blocked,
}
