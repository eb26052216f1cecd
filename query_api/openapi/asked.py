"""What was asked, against what a door says: the first thing that does not fit is named, with what was expected."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from query_api.documents import shown
from query_api.errors import BadRequestError

_PLACE = re.compile(r" - at `\$(.*)`$")
_MISSING = re.compile(r"Object missing required field `([^`]*)`$")
_DIGITS = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def check_query(pairs: list[tuple[str, str]], query: type[msgspec.Struct], *, strict: bool) -> None:
    """Raises BadRequestError. ``strict``: names that are unknown or given twice are refused, else passed over."""
    fields = _fields(query)
    given: dict[str, Any] = {}
    for name, text in pairs:
        field = fields.get(name)
        if field is None:
            if strict:
                known = ", ".join(sorted(fields)) or "none"
                raise BadRequestError(f"there is no parameter {shown(name)}; known are {known}", field=shown(name))
        elif field.repeated:
            given.setdefault(name, []).append(text)
        elif name in given and strict:
            raise BadRequestError(f"{name} is given twice", field=name)
        else:
            given[name] = _number(text) if field.number else text
    _convert(given, query)


def check_body(members: Mapping[str, Any], body: type[msgspec.Struct]) -> None:
    """Raises BadRequestError."""
    _convert(members, body)


class _Field(msgspec.Struct, frozen=True):
    repeated: bool
    number: bool


@cache
def _fields(struct: type[msgspec.Struct]) -> Mapping[str, _Field]:
    found = {}
    for field in msgspec.structs.fields(struct):
        kind = bare(msgspec.inspect.type_info(field.type))
        found[field.encode_name] = _Field(
            isinstance(kind, msgspec.inspect.ListType), isinstance(kind, msgspec.inspect.IntType)
        )
    return found


def bare(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """Without its description, and without the None or UNSET that says it may be missing."""
    if isinstance(kind, msgspec.inspect.Metadata):
        return bare(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        present = [one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType | msgspec.inspect.AnyType)]
        if len(present) == 1:
            return bare(present[0])
    return kind


def _number(text: str) -> int | str:
    return int(text) if _DIGITS.fullmatch(text) else text


def _convert(given: Mapping[str, Any], struct: type[msgspec.Struct]) -> None:
    try:
        msgspec.convert(given, struct)
    except msgspec.ValidationError as error:
        words = str(error)
        if missing := _MISSING.match(words):
            raise BadRequestError(f"{missing[1]} is missing", field=missing[1]) from None
        place = _PLACE.search(words)
        # ``$.page`` is a member, ``$.types[0]`` an entry of one.
        name = shown(re.split(r"[.\[]", place[1].removeprefix("."))[0]) if place else ""
        said = _PLACE.sub("", words).replace("`", "").replace(" | null", "")
        said = said[0].lower() + said[1:]
        raise BadRequestError(f"{name}: {said}" if name else said, field=name) from None
