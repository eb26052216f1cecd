"""JSON objects with members in members, written by ClickHouse: ``client.ip`` is the member ip of client.

The format Template writes the braces and names, so that the query has nothing but the values: each function more is
time that ClickHouse takes to analyse it, for one row as for five hundred.
"""

from collections.abc import Iterable, Mapping

from query_api.dialects.sps.fields import Field, asides
from query_api.shapes import Member, Shape

Tree = dict[str, "Field | Tree"]


class NestedShape(Shape, frozen=True):
    """``row``: the row with a place for each member, as the format Template wants it."""

    row: str = ""

    @property
    def settings(self) -> dict[str, str]:
        return {**super().settings, "format_template_row_format": self.row}


def tree_of(fields: Iterable[Field]) -> Tree:
    """The members by level, in the order of their names, as the documents print them."""
    root: Tree = {}
    for field in sorted(fields, key=lambda field: field.name.split(".")):
        *path, leaf = field.name.split(".")
        place = root
        for step in path:
            inner = place.setdefault(step, {})
            assert isinstance(inner, dict)  # No name is the beginning of another: a test asks for all of them.
            place = inner
        place[leaf] = field
    return root


def item_shape(fields: Iterable[Field], present: Mapping[str, str], href: Field | None = None) -> NestedShape:
    """An item: its body when there are fields, its key, and a meta with ``href`` where there is one.

    ``present``: conditions of members that may be left out, of each object one at most.
    """
    members: list[Member] = []
    fields = list(fields)
    tree = tree_of(fields)
    parts = [f'"body":{_object(tree, present, "", members)}'] if tree else []
    parts.append(f'"key":{_place("session_id", members)}')
    if href is not None:
        parts.append(f'"meta":{{"href":{_value(href, members)}}}')
    return NestedShape(tuple(members), asides(fields), row="{" + ",".join(parts) + "}")


def _object(tree: Tree, present: Mapping[str, str], path: str, members: list[Member]) -> str:
    """The object with places; the members for them are appended."""
    text = ""
    begun = False
    for number, (name, inner) in enumerate(tree.items()):
        place = f"{path}{name}"
        if place in present:
            # With the comma that it brings along: behind what is there, or before what follows.
            before = "','" if begun else "''"
            after = "','" if not begun and number + 1 < len(tree) else "''"
            member = f"""concat({before}, '"{name}":', {_text(inner)}, {after})"""
            text += _place(f"if({present[place]}, {member}, '')", members, raw=True)
            continue
        value = _value(inner, members) if isinstance(inner, Field) else _object(inner, present, f"{place}.", members)
        text += f'{"," if begun else ""}"{name}":{value}'
        begun = True
    return "{" + text + "}"


def _value(field: Field, members: list[Member]) -> str:
    if field.written is None:
        return _place(field.shown or field.expression, members, raw=field.raw)
    text, expression = field.written
    return text.replace("{value}", _place(expression, members, raw=True)) if expression else text


def _place(expression: str, members: list[Member], *, raw: bool = False) -> str:
    """Where a value stands; one that stands in several places is one column."""
    member = Member("", expression, raw)
    if member not in members:
        members.append(member)
    return f"${{f{members.index(member)}:{'Raw' if raw else 'JSON'}}}"


def _text(inner: "Field | Tree") -> str:
    """JSON text as an expression, for the few members that are not in every row."""
    if isinstance(inner, Field):
        value = inner.shown or inner.expression
        return value if inner.raw else f"toJSONString({value})"
    pairs = ", ',', ".join(f"""'"{name}":', {_text(below)}""" for name, below in inner.items())
    return f"concat('{{', {pairs}, '}}')"
