"""Quotes and depth of a query, seen before it is parsed.

The documents write a phrase as ``\\"Copying Files\\"``, which is the shell's way; the parser wants the quotes alone.
"""

import msgspec

#: What may stand before a term.
_BEFORE = " \t\r\n:(+-"


class Quoted(msgspec.Struct, frozen=True):
    """The text to parse. ``removed``: where a backslash was taken out, as places in ``text``."""

    text: str
    removed: tuple[int, ...]
    #: Parentheses open at once.
    depth: int

    def place(self, position: int) -> int:
        """The place in what was sent, counted from 1."""
        return position + 1 + sum(taken <= position for taken in self.removed)


def quoted(sent: str) -> Quoted:
    """``\\"…\\"`` as phrase where a term may begin, and how deep parentheses are nested outside of quotes."""
    text: list[str] = []
    removed: list[int] = []
    depth = deepest = 0
    place = 0
    while place < len(sent):
        begins = not text or text[-1] in _BEFORE
        if begins and sent.startswith('\\"', place) and (end := sent.find('\\"', place + 2)) >= 0:
            removed.append(len(text))
            inner = '"' + sent[place + 2 : end]
            text += inner
            removed.append(len(text))
            text.append('"')
            place = end + 2
        elif sent[place] == "\\":
            text += sent[place : place + 2]
            place += 2
        elif sent[place] == '"':
            end = _closing(sent, place + 1)
            text += sent[place:end]
            place = end
        else:
            depth += {"(": 1, ")": -1}.get(sent[place], 0)
            deepest = max(deepest, depth)
            text.append(sent[place])
            place += 1
    return Quoted("".join(text), tuple(removed), deepest)


def _closing(sent: str, place: int) -> int:
    """Behind the quote that closes a phrase, or the end of the text."""
    while place < len(sent) and sent[place] != '"':
        place += 2 if sent[place] == "\\" else 1
    return min(place + 1, len(sent))
