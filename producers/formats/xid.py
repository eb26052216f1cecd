"""Ids as Honeytrap makes them (rs/xid): 20 characters of base32hex, whose first four bytes are the second of birth."""

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH = 20
#: Characters that hold the first four bytes, and the bits of them that belong to the fifth byte.
_SECONDS_IN, _TOO_MANY = 7, 3


def second_of(text: str) -> int | None:
    """Seconds since 1970 when the id was made; None when the text is no such id."""
    if len(text) != _LENGTH:
        return None
    number = 0
    for at, character in enumerate(text):
        value = _VALUE.get(character)
        if value is None:
            return None
        if at < _SECONDS_IN:
            number = number << 5 | value
    return number >> _TOO_MANY
