"""Reading a struct's fields one by one from JSON that does not fit it: leniently, and naming what is wrong.

This is the slow path behind the decoders: the fast one is msgspec's, which refuses a record as a whole. Here ``null``
counts as missing, a number where text is expected becomes that text, and digits in quotes become a number.
"""

import math
import re
from collections.abc import Callable, Container, Mapping
from typing import Any

import msgspec

from producers.formats.decoded import Rejection
from producers.formats.json_object import Fields, fields_of
from producers.formats.moments import EXPECTED as TIME_EXPECTED
from schemas.dead_letters import Reason
from schemas.times import parse_time

_decode = msgspec.json.Decoder().decode
_OBJECT = "a JSON object"
_NUMBER = "a number"
_TRUTH = "true or false"
_TEXTS = "a list of texts"
_TEXT_BY_NAME = "an object of texts"
_DIGITS = re.compile(r"-?[0-9]{1,19}")


class UnreadableError(Exception):
    """A field's value cannot be used."""

    def __init__(self, reason: Reason, expected: str) -> None:
        super().__init__(expected)
        self.reason = reason
        self.expected = expected


#: From a field's JSON text to its value; raises UnreadableError.
Reader = Callable[[msgspec.Raw], Any]


def read(fields: Fields, readers: Mapping[str, Reader], required: Container[str]) -> dict[str, Any] | Rejection:
    """The values of the fields that have a reader; the first that cannot be read is the reason to reject the whole."""
    values = {}
    for name, reader in readers.items():
        raw = fields.get(name)
        if raw is None or is_null(raw):
            if name in required:
                return Rejection(Reason.MISSING_FIELD, name, expected_of(reader))
            continue
        try:
            values[name] = reader(raw)
        except UnreadableError as error:
            return Rejection(error.reason, name, error.expected)
    return values


def read_what_fits(
    fields: Fields, readers: Mapping[str, Reader], required: Container[str]
) -> tuple[dict[str, Any], list[str]] | Rejection:
    """The same for a sensor's own log: only required fields reject; the names of others that were unreadable follow."""
    values = {}
    unread = []
    for name, reader in readers.items():
        raw = fields.get(name)
        if raw is None or is_null(raw):
            if name in required:
                return Rejection(Reason.MISSING_FIELD, name, expected_of(reader))
            continue
        try:
            values[name] = reader(raw)
        except UnreadableError as error:
            if name in required:
                return Rejection(error.reason, name, error.expected)
            unread.append(name)
    return values, unread


def is_null(raw: msgspec.Raw) -> bool:
    return bytes(raw) == b"null"


def expected_of(reader: Reader) -> str:
    """What a reader wants, in words; every reader made here carries it."""
    return str(getattr(reader, "expected", ""))


def _value_of(raw: msgspec.Raw, expected: str) -> Any:
    """Any value; what JSON's grammar allows and no number or stack can hold is unreadable."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise UnreadableError(Reason.BAD_VALUE, expected) from None


def _named(reader: Reader, expected: str) -> Reader:
    reader.expected = expected  # type: ignore[attr-defined]
    return reader


def _text(least: int) -> Reader:
    expected = "text that is not empty" if least else "text"

    def reader(raw: msgspec.Raw) -> str:
        value = _value_of(raw, expected)
        if isinstance(value, int | float) and not isinstance(value, bool):
            # As it is written: an id must not lose digits on its way through a float.
            value = bytes(raw).decode()
        if not isinstance(value, str):
            raise UnreadableError(Reason.WRONG_TYPE, expected)
        if len(value) < least:
            raise UnreadableError(Reason.BAD_VALUE, expected)
        return value

    return _named(reader, expected)


def _whole(least: int | None, most: int | None) -> Reader:
    bounds = "" if least is None or most is None else f" from {least} to {most}"
    expected = f"a whole number{bounds}"

    def reader(raw: msgspec.Raw) -> int:
        value = _value_of(raw, expected)
        if isinstance(value, str):
            text = value.strip()
            value = int(text) if _DIGITS.fullmatch(text) else None
        elif isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnreadableError(Reason.WRONG_TYPE, expected)
        if (least is not None and value < least) or (most is not None and value > most):
            raise UnreadableError(Reason.BAD_VALUE, expected)
        return value

    return _named(reader, expected)


def _number(raw: msgspec.Raw) -> float:
    value = _value_of(raw, _NUMBER)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UnreadableError(Reason.WRONG_TYPE, _NUMBER)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UnreadableError(Reason.BAD_VALUE, _NUMBER)
    return number


def _moment(raw: msgspec.Raw) -> int:
    value = _value_of(raw, TIME_EXPECTED)
    if isinstance(value, str):
        # RFC 3339 lets "t" and "z" be small.
        value = value.strip().upper()
    try:
        return parse_time(value)
    except ValueError:
        right_type = isinstance(value, str | int | float) and not isinstance(value, bool)
        raise UnreadableError(Reason.BAD_TIME if right_type else Reason.WRONG_TYPE, TIME_EXPECTED) from None


def _json_object(raw: msgspec.Raw) -> msgspec.Raw:
    if not bytes(raw).startswith(b"{"):
        raise UnreadableError(Reason.WRONG_TYPE, _OBJECT)
    return raw


def _truth(raw: msgspec.Raw) -> bool:
    value = _value_of(raw, _TRUTH)
    if not isinstance(value, bool):
        raise UnreadableError(Reason.WRONG_TYPE, _TRUTH)
    return value


def _texts(raw: msgspec.Raw) -> list[str]:
    value = _value_of(raw, _TEXTS)
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UnreadableError(Reason.WRONG_TYPE, _TEXTS)
    return value


def _text_by_name(raw: msgspec.Raw) -> dict[str, str]:
    value = _value_of(raw, _TEXT_BY_NAME)
    if not isinstance(value, dict):
        raise UnreadableError(Reason.WRONG_TYPE, _TEXT_BY_NAME)
    read = {}
    for name, each in value.items():
        if each is None:
            continue
        # A tag's value is text to people: 5, true and a list are written down as JSON does.
        read[name] = each if isinstance(each, str) else msgspec.json.encode(each).decode()
    return read


def _struct(struct: type[msgspec.Struct]) -> Reader:
    """An object of known fields only: what it is for would be lost with a name that is misspelt."""
    readers = readers_of(struct)
    expected = f"an object of {', '.join(readers)}"

    def reader(raw: msgspec.Raw) -> msgspec.Struct:
        fields = fields_of(bytes(raw))
        if isinstance(fields, Rejection):
            raise UnreadableError(Reason.WRONG_TYPE, expected)
        if not fields.keys() <= readers.keys():
            raise UnreadableError(Reason.BAD_VALUE, expected)
        values = read(fields, readers, required_of(struct))
        if isinstance(values, Rejection):
            raise UnreadableError(values.reason, f"{values.field}: {values.expected}")
        return struct(**values)

    return _named(reader, expected)


def _one_of(values: list[str]) -> Reader:
    expected = "one of " + ", ".join(values)

    def reader(raw: msgspec.Raw) -> str:
        value = _value_of(raw, expected)
        if not isinstance(value, str):
            raise UnreadableError(Reason.WRONG_TYPE, expected)
        if value.lower() not in values:
            raise UnreadableError(Reason.BAD_VALUE, expected)
        return value.lower()

    return _named(reader, expected)


_named(_number, _NUMBER)
_named(_moment, TIME_EXPECTED)
_named(_json_object, _OBJECT)
_named(_truth, _TRUTH)
_named(_texts, _TEXTS)
_named(_text_by_name, _TEXT_BY_NAME)


def readers_of(struct: type[msgspec.Struct], without: Container[str] = ()) -> dict[str, Reader]:
    """A reader for each field of a struct, by the field's type; fields named in ``without`` have none."""
    return {
        field.encode_name: _reader_of(msgspec.inspect.type_info(field.type))
        for field in msgspec.structs.fields(struct)
        if field.name not in without
    }


def required_of(struct: type[msgspec.Struct]) -> frozenset[str]:
    """Names of the fields a struct cannot do without."""
    return frozenset(field.encode_name for field in msgspec.structs.fields(struct) if field.required)


def _reader_of(info: msgspec.inspect.Type) -> Reader:
    match info:
        case msgspec.inspect.Metadata(type=inner):
            return _reader_of(inner)
        case msgspec.inspect.UnionType(types=types):
            if any(isinstance(each, msgspec.inspect.DateTimeType) for each in types):
                return _moment
            return _reader_of(next(each for each in types if not isinstance(each, msgspec.inspect.NoneType)))
        case msgspec.inspect.StrType(min_length=least):
            return _text(least or 0)
        case msgspec.inspect.IntType(ge=least, le=most):
            return _whole(least, most)
        case msgspec.inspect.FloatType():
            return _number
        case msgspec.inspect.RawType():
            return _json_object
        case msgspec.inspect.BoolType():
            return _truth
        case msgspec.inspect.ListType():
            return _texts
        case msgspec.inspect.DictType():
            return _text_by_name
        case msgspec.inspect.StructType(cls=cls):
            return _struct(cls)
        case msgspec.inspect.EnumType(cls=cls):
            return _one_of([str(each.value) for each in cls])
    raise TypeError(f"no reader for {info}")
