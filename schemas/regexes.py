"""Regexes where a decision is made outside of ClickHouse: RE2, by the same rules as its ``match()``."""

import re2


class InvalidRegexError(ValueError):
    """It is not RE2; the text says why."""


def compiled(text: str) -> "re2._Regexp[str]":
    """Raises InvalidRegexError."""
    options = re2.Options()
    options.log_errors = False
    # As ClickHouse's match(): a dot is any character.
    options.dot_nl = True
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "it cannot be compiled"
        raise InvalidRegexError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
