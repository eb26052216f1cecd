"""JSON objects with members in members, written by ClickHouse: ``client.ip`` is the member ip of client."""

from collections.abc import Iterable, Mapping

from query_api.dialects.sps.fields import Field

Tree = dict[str, "Field | Tree"]


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


def object_text(tree: Tree, present: Mapping[str, str], path: str = "") -> str:
    """An expression that gives the object as JSON text. ``present``: conditions of members that may be left out."""
    members = []
    optional = False
    for name, inner in tree.items():
        place = f"{path}{name}"
        value = inner.text if isinstance(inner, Field) else object_text(inner, present, f"{place}.")
        member = f"""'"{name}":', {value}"""
        if place in present:
            optional = True
            members.append(f"if({present[place]}, concat({member}), '')")
        else:
            members.append(f"concat({member})")
    if optional:
        inside = f"arrayStringConcat(arrayFilter(member -> member != '', [{', '.join(members)}]), ',')"
    else:
        inside = ", ',', ".join(members)
    return f"concat('{{', {inside}, '}}')"
