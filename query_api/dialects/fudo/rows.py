"""Sessions as Fudo's JSON objects: nulls are left out unless they are asked for.

What is shown unasked are attributes by the dozen, most of them without a value. ClickHouse takes longer to analyse an
expression for each than to run them all, so those of one kind are one expression.
"""

from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from query_api.dialects.fudo import times
from query_api.dialects.fudo.model import ATTRIBUTES, BY_NAME, ML, PREFIX, SIZES, Attribute, Kind
from query_api.dialects.fudo.request import value_of
from query_api.shapes import Member, Shape


def everything(zone: ZoneInfo, with_size: bool) -> Shape:
    """What is shown unasked: attributes that have a value, without the expensive ones; ``size`` in a single answer."""
    shown = [each for each in ATTRIBUTES if not each.expensive or (with_size and each.name == "size")]
    columns = [each for each in shown if not each.only_said]

    def of(*kinds: Kind) -> list[Attribute]:
        return [each for each in columns if each.kind in kinds]

    pairs = (
        _pairs(of(Kind.TEXT), "nullIf(value, '')"),
        _pairs(of(Kind.NUMBER), "value"),
        _pairs(of(Kind.TIME), times.shown("value", zone)),
        _said([each for each in shown if each.only_said]),
    )
    flags = tuple(_flag(each, sparse=True) for each in of(Kind.BOOLEAN))
    return Shape((*flags, Member("ml", ML, True, True)), SIZES if with_size else "", pairs)


def chosen(attributes: Sequence[Attribute], zone: ZoneInfo) -> Shape:
    """What was asked for, with nulls; no attribute at all is the id."""
    wanted = attributes or (BY_NAME["id"],)
    aside = SIZES if any(each.name == "size" for each in wanted) else ""
    return Shape(tuple(_member(each, zone) for each in wanted), aside)


def _pairs(attributes: Sequence[Attribute], shown: str) -> str:
    """``"name":value`` of all attributes of one kind; ``shown`` is what of ``value`` becomes JSON, NULL for none."""
    values = ", ".join(each.sql for each in attributes)
    pair = f"ifNull(concat('\"', name, '\":', toJSONString({shown})), '')"
    return f"arrayMap((name, value) -> {pair}, {_names(attributes)}, [{values}])"


def _said(attributes: Sequence[Attribute]) -> str:
    """The same of those that stand in the session's attributes alone."""
    named = f"substring(name, {len(PREFIX) + 1})"
    texts = _names(each for each in attributes if each.kind is Kind.TEXT)
    flags = _names(each for each in attributes if each.kind is Kind.BOOLEAN)
    pair = (
        f"multiIf(value = '', '', has({texts}, {named}), concat('\"', {named}, '\":', toJSONString(value)),"
        f" value = 'true' AND has({flags}, {named}), concat('\"', {named}, '\":true'), '')"
    )
    own = f"mapFilter((name, value) -> startsWith(name, '{PREFIX}'), CAST(attributes, 'Map(String, String)'))"
    return f"arrayMap((name, value) -> {pair}, mapKeys({own}), mapValues({own}))"


def _names(attributes: Iterable[Attribute]) -> str:
    return "[" + ", ".join(f"'{each.name}'" for each in attributes) + "]"


def _member(attribute: Attribute, zone: ZoneInfo) -> Member:
    name = attribute.name
    if attribute.kind in (Kind.ML, Kind.BACKUPS):
        return Member(name, f"if({attribute.sql} = '', 'null', {attribute.sql})", True)
    if attribute.kind is Kind.TIME:
        return Member(name, times.shown(attribute.sql, zone))
    if attribute.kind is Kind.BOOLEAN:
        return _flag(attribute, sparse=False)
    return Member(name, value_of(attribute))


def _flag(attribute: Attribute, sparse: bool) -> Member:
    # Text, because a Bool that comes out of an expression is written as a number in some places.
    no = "" if sparse and attribute.only_true else "false"
    return Member(attribute.name, f"if({attribute.sql}, 'true', '{no}')", True, sparse)
