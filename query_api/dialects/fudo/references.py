"""References in a batch: ``{name}`` of a variable, ``{id.path}`` of an earlier request's answer (fudo-facts 2.7)."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from query_api.documents import shown
from query_api.errors import BadRequestError

_REFERENCE = re.compile(r"\{([A-Za-z0-9:_-]+(?:\.[A-Za-z0-9_-]+)*)\}")


class References:
    """What may be referred to: variables, and answers by the id of their request."""

    def __init__(self, variables: Mapping[str, object]) -> None:
        self._known: dict[str, object] = dict(variables)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def add(self, name: str, answer: Mapping[str, object]) -> None:
        self._known[name] = answer

    def in_path(self, text: str) -> str:
        """Values become parts of a path, percent-encoded. Raises BadRequestError."""
        return _REFERENCE.sub(lambda found: quote(_scalar(self._value(found[1]), found[1]), safe=""), text)

    def in_value(self, value: object) -> object:
        """The value with every text in it resolved; a text that is one reference alone becomes what it refers to.

        Raises BadRequestError.
        """
        if isinstance(value, dict):
            return {name: self.in_value(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.in_value(member) for member in value]
        if not isinstance(value, str):
            return value
        alone = _REFERENCE.fullmatch(value)
        if alone:
            return self._value(alone[1])
        return _REFERENCE.sub(lambda found: _scalar(self._value(found[1]), found[1]), value)

    def _value(self, path: str) -> object:
        first, *rest = path.split(".")
        if first not in self._known:
            raise BadRequestError(f"{{{shown(path)}}} refers to no variable and to no request answered before")
        value = self._known[first]
        for part in rest:
            if isinstance(value, dict) and part in value:
                value = value[part]
            elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part[:9]) < len(value):
                value = value[int(part[:9])]
            else:
                raise BadRequestError(f"{{{shown(path)}}}: there is no {shown(part)} in what it refers to")
        return value


def _scalar(value: object, path: str) -> str:
    """A value inside a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise BadRequestError(f"{{{shown(path)}}} is no text or number and cannot stand inside a text")
