"""One term of a query against one property, as a condition (hard-questions: the query language's edges).

Keywords are compared as whole values, texts by word, both without case. In a word ``*`` stands for any run of
characters and ``?`` for one; in a phrase they are what they are.
"""

import re

import msgspec

from query_api.addresses import spellings
from query_api.dialects.sps.fields import Field, Kind
from query_api.filters import Filter, Names, both, compared, either, found_in, one_of_texts

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_WORD = r"[\pL\pN_]"
_NOT_WORD = r"[^\pL\pN_]"


class Wildcard(msgspec.Struct, frozen=True):
    """``*``, or ``?`` when it is exactly one character."""

    one: bool


#: A term in pieces: text that stands for itself, and wildcards.
Pieces = tuple[str | Wildcard, ...]

_ANY = Wildcard(one=False)


class TermError(Exception):
    """A term does not fit its property; the text says what was expected."""


def word_pieces(text: str) -> Pieces:
    """A word of the query: a backslash takes the meaning of the character behind it."""
    pieces: list[str | Wildcard] = []
    plain = ""
    characters = iter(text)
    for character in characters:
        if character in "*?":
            pieces += [plain, Wildcard(one=character == "?")]
            plain = ""
        else:
            plain += next(characters, "\\") if character == "\\" else character
    return tuple(piece for piece in (*pieces, plain) if piece != "")


def phrase_pieces(text: str) -> Pieces:
    """What stands between the quotes of a phrase."""
    plain = re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
    return (plain,) if plain else ()


def term_filter(field: Field, pieces: Pieces, names: Names) -> Filter:
    """Rows whose property has the term. Raises TermError."""
    found = _condition(field, pieces, names)
    if field.synonym:
        other = msgspec.structs.replace(field, expression=field.synonym, lowered="")
        found = either([found, _condition(other, pieces, names)])
    return _of_field(field, found)


def range_filter(field: Field, low: str, high: str, inclusive: tuple[bool, bool], names: Names) -> Filter:
    """Rows whose number lies between; ``*`` is an open end. Raises TermError."""
    if field.kind is not Kind.INT:
        raise TermError(
            "ranges work for integers only"
            + ("; the parameters start and end choose a time" if field.kind is Kind.TIME else "")
        )
    number = f"toInt64({field.expression})"
    bounds = []
    if low != "*":
        bounds.append(compared(number, ">=" if inclusive[0] else ">", integer(low), "Int64", names))
    if high != "*":
        bounds.append(compared(number, "<=" if inclusive[1] else "<", integer(high), "Int64", names))
    return _of_field(field, both(bounds) if bounds else _is_there(field))


def integer(text: str) -> int:
    """Raises TermError for anything but a whole number of at most 18 digits."""
    if not _INTEGER.fullmatch(text):
        raise TermError("an integer was expected")
    return int(text)


def _of_field(field: Field, found: Filter) -> Filter:
    """What is not known passes no condition, so that NOT finds it."""
    where = f"ifNull({found.where}, false)" if field.nullable else found.where
    return msgspec.structs.replace(found, where=field.around.format(where))


def _condition(field: Field, pieces: Pieces, names: Names) -> Filter:
    if pieces == (_ANY,):
        return _is_there(field)
    if field.kind is Kind.INT:
        return compared(f"toInt64({field.expression})", "=", integer(_plain(pieces)), "Int64", names)
    if field.kind is Kind.BOOL:
        text = _plain(pieces).lower()
        if text not in ("true", "false"):
            raise TermError("true or false was expected")
        return compared(f"toBool({field.expression})", "=", int(text == "true"), "Bool", names)
    if field.kind is Kind.TEXT and pieces:
        return found_in(field.expression, word_regex(pieces), names)
    if _is_plain(pieces) and (text := _plain(pieces)).isascii():
        if field.address and ":" in text:
            return one_of_texts(field.low, sorted({way.lower() for way in spellings(text)}), names)
        return compared(field.low, "=", text.lower(), "String", names)
    return found_in(field.expression, value_regex(pieces), names)


def _is_there(field: Field) -> Filter:
    if field.kind in (Kind.KEYWORD, Kind.TEXT, Kind.TIME):
        return Filter(f"{field.expression} != ''")
    return Filter(f"isNotNull({field.expression})")


def _is_plain(pieces: Pieces) -> bool:
    return all(isinstance(piece, str) for piece in pieces)


def _plain(pieces: Pieces) -> str:
    if not _is_plain(pieces):
        raise TermError("wildcards work for texts only")
    return "".join(str(piece) for piece in pieces)


def value_regex(pieces: Pieces) -> str:
    """RE2 on a whole value."""
    return "(?is)^" + "".join(_regex(piece, ".") for piece in pieces) + "$"


def word_regex(pieces: Pieces) -> str:
    """RE2 that finds the term between words: ``rm`` is in ``rm -f``, not in ``form``."""
    before = f"(?:^|{_NOT_WORD})" if _begins_word(pieces[:1], 0) else ""
    after = f"(?:$|{_NOT_WORD})" if _begins_word(pieces[-1:], -1) else ""
    return f"(?is){before}" + "".join(_regex(piece, _WORD) for piece in pieces) + after


def _begins_word(pieces: Pieces, place: int) -> bool:
    """Whether the term's outermost character belongs to a word, so that a word must begin or end there."""
    if not pieces or isinstance(piece := pieces[0], Wildcard):
        return True
    return piece[place].isalnum() or piece[place] == "_"


def _regex(piece: str | Wildcard, character: str) -> str:
    if isinstance(piece, Wildcard):
        return character if piece.one else f"{character}*"
    return r"\s+".join(_escaped(part) for part in re.split(r"\s+", piece))


def _escaped(text: str) -> str:
    return "".join(
        c if c == "_" or not c.isascii() or c.isalnum() else "\\x00" if c == "\0" else "\\" + c for c in text
    )
