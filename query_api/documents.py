"""Reading what a client sent: JSON bodies strictly, query strings without surprises."""

import json
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from query_api.errors import BadRequestError


def json_object(body: bytes) -> dict[str, Any]:
    """The members of a JSON object; an empty body has none.

    Raises BadRequestError for anything but one JSON object in UTF-8: a name given twice, NaN and Infinity, which
    readers of JSON do not take alike, are refused too.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the body is not UTF-8 at byte {error.start}") from None
    if not text.strip(" \t\r\n"):
        return {}
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BadRequestError("the body is nested too deeply") from None
    except ValueError:
        # Python refuses to read integers of more than 4,300 digits.
        raise BadRequestError("the body has a number that is too long") from None
    if not isinstance(value, dict):
        raise BadRequestError("the body must be a JSON object")
    return value


def query_pairs(raw: str) -> list[tuple[str, str]]:
    """Names and values of a query string in order. Raises BadRequestError for what is not UTF-8 after decoding."""
    pairs = []
    for part in raw.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(text: str) -> str:
    try:
        # A raw byte above 127 reaches us as half a surrogate pair.
        return unquote_to_bytes(text.replace("+", " ").encode("utf-8", "surrogateescape")).decode()
    except UnicodeError:
        raise BadRequestError("the query string is not UTF-8") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequestError(f"{shown(twice)} is given twice", field=shown(twice))
    return members


def _no_constant(name: str) -> NoReturn:
    raise BadRequestError(f"the body has {name}, which is not JSON")


def shown(name: str) -> str:
    """A name that a client made up, for a message: at most 64 characters, all of which can be written."""
    return name[:64].encode("utf-8", "replace").decode()


def has_characters_only(text: str) -> bool:
    """Not half a surrogate pair, which JSON can say and nobody can store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
