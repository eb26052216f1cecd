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


def object_text(tree: Tree, present: Mapping[str, str]) -> str:
    """An expression that gives the object as JSON text. ``present``: conditions of members that may be left out, of
    each object one at most."""
    return _concatenated(_object(tree, present, ""))


def _object(tree: Tree, present: Mapping[str, str], path: str) -> list[str]:
    """The pieces of the text: literals, which begin with a quote, and expressions."""
    pieces = ["'{'"]
    for number, (name, inner) in enumerate(tree.items()):
        place = f"{path}{name}"
        value = [inner.text] if isinstance(inner, Field) else _object(inner, present, f"{place}.")
        member = [f"""'"{name}":'""", *value]
        if place in present:
            # With the comma that it brings along: before what follows, or behind what was.
            last = number == len(tree) - 1
            member = [*(["','"] if last and number else []), *member, *([] if last else ["','"])]
            pieces.append(f"if({present[place]}, {_concatenated(member)}, '')")
        else:
            following = list(tree)[number + 1 :]
            alone = len(following) == 1 and f"{path}{following[0]}" in present
            pieces += [*member, *(["','"] if following and not alone else [])]
    return [*pieces, "'}'"]


def _concatenated(pieces: list[str]) -> str:
    """One call with literals side by side made one: ClickHouse takes time for every argument it analyses."""
    joined: list[str] = []
    for piece in pieces:
        if joined and piece.startswith("'") and joined[-1].startswith("'"):
            joined[-1] = joined[-1][:-1] + piece[1:]
        else:
            joined.append(piece)
    return f"concat({', '.join(joined)})" if len(joined) > 1 else joined[0]
