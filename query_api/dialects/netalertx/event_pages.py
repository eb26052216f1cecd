"""Pages of ``session-events``: newer pages of the product leave sorting, searching and cutting to the server.

Who asks for none of it gets all rows, as the document has it.
"""

from collections.abc import Mapping

import msgspec

from query_api.dialects.netalertx.event_rows import IP_NUMBER
from query_api.errors import BadRequestError
from query_api.filters import EVERYTHING, PATTERN_LIMIT, Filter
from query_api.listing import Listing, read_rows, together
from query_api.paging import Page, checked_page
from query_api.reader import Reader
from query_api.shapes import Shape
from query_api.sql import Source, count

_NAMES = ("page", "limit", "sortCol", "sortDir", "search")
#: Rows of a page: without a limit, and at most; "All" of the product's menu is -1.
_USUAL = 100
MOST = 1000
#: Columns that are shown as text and sorted by what they stand for: the pairs of the product's table.
_DURATIONS, _ADDRESSES = (7, 8), (9, 10)


class Wanted(msgspec.Struct, frozen=True):
    """``by`` is "" for newest first."""

    page: Page
    by: str
    search: Filter


def wanted(asked: Mapping[str, str], source: Source, shape: Shape) -> Wanted | None:
    """The page that a query asks for, None where it asks for all rows. Raises BadRequestError that names the field."""
    if not any(name in asked for name in _NAMES):
        return None
    limit = _integer(asked, "limit", _USUAL)
    if limit > MOST:
        # Fewer rows than were asked for would leave gaps between pages.
        raise BadRequestError(f"limit must be from 1 to {MOST}, or -1 for the most", field="limit")
    page = checked_page(MOST if limit == -1 else limit, _integer(asked, "page", 1), "limit", "page")
    assert page is not None  # There is a size.
    column = _integer(asked, "sortCol", 0)
    if not 0 <= column < len(shape.members):
        raise BadRequestError(f"sortCol must be from 0 to {len(shape.members) - 1}", field="sortCol")
    direction = asked.get("sortDir", "desc").lower()
    if direction not in ("asc", "desc"):
        raise BadRequestError("sortDir must be asc or desc", field="sortDir")
    by = "" if (column, direction) == (0, "desc") else f"{_sorted_by(column, source, shape)} {direction.upper()}"
    return Wanted(page, by, _found(asked.get("search", "").strip(), shape))


async def read(reader: Reader, listing: Listing, asked: Wanted) -> tuple[dict[str, int], bytes]:
    """How many rows there are and how many are found, and those of the page, as JSON text with commas between."""
    source = msgspec.structs.replace(listing.source, by=asked.by)
    found = listing.filter.and_(asked.search)
    total, filtered, rows = await together(
        reader.number(count(source, listing.filter)),
        reader.number(count(source, found)),
        read_rows(reader, msgspec.structs.replace(listing, source=source, filter=found), asked.page),
    )
    return {"total": total, "recordsFiltered": filtered}, rows


def _integer(asked: Mapping[str, str], name: str, default: int) -> int:
    text = asked.get(name, "")
    if not text:
        return default
    if not text.removeprefix("-").isdecimal() or len(text) > 10:
        raise BadRequestError(f"{name} must be an integer", field=name)
    return int(text)


def _sorted_by(column: int, source: Source, shape: Shape) -> str:
    if column == 0:
        return source.time
    if column in _DURATIONS:
        return shape.members[8].expression
    if column in _ADDRESSES:
        return f"toInt256({IP_NUMBER})"
    # A number alone would be the number of a column to ClickHouse.
    return f"tuple({shape.members[column].expression})"


def _found(text: str, shape: Shape) -> Filter:
    """Rows in which this text is shown, whatever its case."""
    if not text:
        return EVERYTHING
    if len(text) > PATTERN_LIMIT:
        raise BadRequestError(f"search has at most {PATTERN_LIMIT} characters", field="search")
    shown = ", ".join(f"ifNull(toString({member.expression}), '')" for member in shape.members)
    return Filter(
        f"arrayExists(text -> positionCaseInsensitiveUTF8(text, {{search:String}}) > 0, [{shown}])", {"search": text}
    )
