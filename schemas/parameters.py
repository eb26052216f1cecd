"""How much text a parameter of one ClickHouse statement takes, and lists that are asked about in several statements."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

#: Bytes of a list of texts that are passed as one parameter; more than 131,072 are refused by ClickHouse (code 1000).
MOST = 120_000

T = TypeVar("T")


def bytes_of(text: str) -> int:
    """Of a text as part of such a list: with quotes, and with everything escaped at worst."""
    return 2 * len(text.encode()) + 4


def portions(items: Iterable[T], size: Callable[[T], int], most: int = MOST) -> Iterator[list[T]]:
    """The items, in order, in lists of at most ``most`` bytes each; one that is larger is alone in its list."""
    portion: list[T] = []
    taken = 0
    for item in items:
        needed = size(item)
        if portion and taken + needed > most:
            yield portion
            portion, taken = [], 0
        portion.append(item)
        taken += needed
    if portion:
        yield portion
