"""A message as a JSON object whose values are not decoded yet, or the reason why it is none."""

import re

import msgspec

from producers.formats.decoded import Rejection
from schemas.dead_letters import Reason

#: The fields of one object, each value still JSON text.
Fields = dict[str, msgspec.Raw]

TEXT_REPLACED = "text_replaced"

_decode_fields = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


def not_utf8(value: bytes) -> Rejection | None:
    """None when the bytes are UTF-8: the JSON decoder does not look into what it leaves as text."""
    if value.isascii():
        return None
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return Rejection(Reason.NOT_UTF8, expected=f"UTF-8; byte {error.start} is 0x{value[error.start]:02x}")
    return None


def fields_of(value: bytes) -> Fields | Rejection:
    """The object's fields. Of a name that comes twice the last value counts."""
    try:
        return _decode_fields(value)
    except msgspec.ValidationError:
        return Rejection(Reason.NOT_AN_OBJECT, expected="one JSON object")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Rejection(Reason.NOT_JSON, expected=f"one JSON object; {error}" if value.strip() else "one JSON object")
    except RecursionError:
        return Rejection(Reason.NOT_JSON, expected="one JSON object that is not nested thousands of levels deep")


def object_text(fields: Fields) -> msgspec.Raw:
    """The fields as one JSON object again, in their order, values as they were written."""
    return msgspec.Raw(_encode(fields))


#: An escape in JSON text; group 1 is half of a surrogate pair without the other half.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def without_lone_surrogates(value: bytes) -> bytes | None:
    """The JSON with U+FFFD for escapes that are no character (Python's json writes undecodable bytes so); else None."""
    if b"\\ud" not in value and b"\\uD" not in value:
        return None
    replaced = _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], value)
    return None if replaced == value else replaced
