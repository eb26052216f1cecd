"""Sessions as Fudo's JSON objects: attributes in the order of the document, nulls left out unless asked for."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from query_api.dialects.fudo import times
from query_api.dialects.fudo.model import ATTRIBUTES, BY_NAME, SIZES, Attribute, Kind
from query_api.dialects.fudo.request import value_of
from query_api.shapes import Member, Shape


def everything(zone: ZoneInfo, with_size: bool) -> Shape:
    """What is shown unasked: attributes that have a value, without the expensive ones; ``size`` in a single answer."""
    shown = [each for each in ATTRIBUTES if not each.expensive or (with_size and each.name == "size")]
    return Shape(tuple(_member(each, zone, sparse=True) for each in shown), SIZES if with_size else "")


def chosen(attributes: Sequence[Attribute], zone: ZoneInfo) -> Shape:
    """What was asked for, with nulls; no attribute at all is the id."""
    wanted = attributes or (BY_NAME["id"],)
    aside = SIZES if any(each.name == "size" for each in wanted) else ""
    return Shape(tuple(_member(each, zone, sparse=False) for each in wanted), aside)


def _member(attribute: Attribute, zone: ZoneInfo, sparse: bool) -> Member:
    name = attribute.name
    if attribute.kind in (Kind.ML, Kind.BACKUPS):
        return Member(
            name, attribute.sql if sparse else f"if({attribute.sql} = '', 'null', {attribute.sql})", True, sparse
        )
    if attribute.kind is Kind.TIME:
        return Member(name, times.shown(attribute.sql, zone), False, sparse)
    if attribute.kind is Kind.BOOLEAN:
        # Text, because a Bool that comes out of an expression is written as a number in some places.
        yes = f"if({attribute.sql}, 'true', '{'' if sparse and attribute.only_true else 'false'}')"
        return Member(name, yes, True, sparse)
    return Member(name, value_of(attribute), False, sparse)
