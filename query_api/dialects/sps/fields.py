"""What a property is for the query language: where its value stands, and how it is compared."""

from collections.abc import Iterable
from enum import Enum
from typing import Any

import msgspec


class Kind(Enum):
    """How values are compared (hard-questions: the query language's edges)."""

    #: The whole value, without case.
    KEYWORD = "text"
    #: Words in it, without case.
    TEXT = "text by word"
    INT = "integer"
    BOOL = "true or false"
    #: As it is shown, like a keyword.
    TIME = "time"


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """``expression`` is SQL of ours over the columns of a row."""

    name: str
    kind: Kind
    expression: str
    #: The same in lower case, where that is nearer to an index than lowerUTF8 of the expression.
    lowered: str = ""
    #: Whether it is an IP address, which is asked for in any spelling.
    address: bool = False
    #: A second spelling of the value that conditions may ask for.
    synonym: str = ""
    #: SQL around each condition, with ``{}`` for it: what a row is about stands in other rows.
    around: str = "{}"
    #: Whether the expression may be NULL; NULL is shown as null and passes no condition.
    nullable: bool = False
    #: For a time: the column or expression that is a DateTime64.
    moment: str = ""
    #: What is shown, where that is not what conditions look at; ``raw``: it is JSON text already.
    shown: str = ""
    raw: bool = False
    #: What is shown with less work for the query, where an item is written: JSON text, in it ``{value}`` for the
    #: second, an expression of text that needs no quoting; empty where the value is always the same.
    written: tuple[str, str] | None = None
    #: What ``shown`` refers to (``Shape.aside``).
    aside: str = ""
    #: Type of the JSON value, where that is not the kind's.
    type: Any = None
    #: Whether ``fields=*`` has it; the others are there for clients that ask for them by name.
    listed: bool = True

    @property
    def low(self) -> str:
        return self.lowered or f"lowerUTF8({self.expression})"


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of one list; ``plain`` are those that a term without a property is looked for in."""

    fields: dict[str, Field]
    plain: tuple[str, ...]
    #: Terms of one query; each is a condition that ClickHouse works through.
    terms: int = 200


def catalogue(fields: list[Field], plain: tuple[str, ...], terms: int = 200) -> Catalogue:
    return Catalogue(fields={field.name: field for field in fields}, plain=plain, terms=terms)


def asides(fields: Iterable[Field]) -> str:
    """What these refer to, each once."""
    return ", ".join(dict.fromkeys(field.aside for field in fields if field.aside))


def moment(column: str, zone: str = "") -> str:
    """A time in ISO 8601 as the documents show them: ``2017-04-11T09:21:21.04`` and the zone; no more digits than it
    has; null for no time."""
    return (
        f"concat(formatDateTime({column}, '%Y-%m-%dT%H:%i:%S', 'UTC'), "
        f"replaceRegexpOne(formatDateTime({column}, '.%f', 'UTC'), '[.]?0*$', ''), '{zone}')"
    )
