"""Which rows of a list: pages, numbered from 1 and all of one size, or so many rows from an offset on."""

import msgspec

from query_api.errors import BadRequestError

#: Bounds of a page's size, and of page times size (hard-questions: numbers and names).
SIZE_LIMIT = 10_000
REACH_LIMIT = 10**9


class Slice(msgspec.Struct, frozen=True):
    """``size`` rows from ``offset`` on."""

    size: int
    offset: int = 0


class Page(msgspec.Struct, frozen=True):
    """Page ``number`` of ``size`` rows each: exactly the rows from (number - 1) times size on."""

    size: int
    number: int = 1

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


#: What is asked of a list; both have ``size`` and ``offset``.
Extent = Page | Slice


def checked_page(size: int | None, number: int | None, size_field: str, number_field: str) -> Page | None:
    """The page asked for, None when all rows are. Raises BadRequestError that names the field."""
    if number is not None and number < 1:
        raise BadRequestError(f"{number_field} must be at least 1", field=number_field)
    if size is None:
        if number is not None:
            raise BadRequestError(f"{number_field} needs {size_field}", field=size_field)
        return None
    if not 1 <= size <= SIZE_LIMIT:
        raise BadRequestError(f"{size_field} must be from 1 to {SIZE_LIMIT}", field=size_field)
    page = Page(size, 1 if number is None else number)
    if page.number * page.size > REACH_LIMIT:
        raise BadRequestError(f"{number_field} times {size_field} must be at most {REACH_LIMIT}", field=number_field)
    return page


def page_after(rows: int) -> Page:
    """The page that goes on after ``rows`` rows, of the largest size that divides them."""
    size = next(size for size in range(min(rows, SIZE_LIMIT), 0, -1) if rows % size == 0)
    return Page(size, rows // size + 1)
