"""What ClickHouse's answers to an insert mean; the codes are ClickHouse's own (ErrorCodes)."""

from collections.abc import Mapping
from types import MappingProxyType

#: throwIf: here it says that another sink owns the partition.
FENCED = 395

#: Codes that blame the rows: the same rows would be refused again, whenever and by whatever server.
DATA: Mapping[int, str] = MappingProxyType(
    {
        6: "CANNOT_PARSE_TEXT",
        25: "CANNOT_PARSE_ESCAPE_SEQUENCE",
        26: "CANNOT_PARSE_QUOTED_STRING",
        27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
        38: "CANNOT_PARSE_DATE",
        41: "CANNOT_PARSE_DATETIME",
        69: "ARGUMENT_OUT_OF_BOUND",
        70: "CANNOT_CONVERT_TYPE",
        72: "CANNOT_PARSE_NUMBER",
        117: "INCORRECT_DATA",
        131: "TOO_LARGE_STRING_SIZE",
        321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
        349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
        407: "DECIMAL_OVERFLOW",
        467: "CANNOT_PARSE_BOOL",
        469: "VIOLATED_CONSTRAINT",
    }
)


class RefusedError(Exception):
    """ClickHouse blames the rows; nothing of the block is stored. The text says what it did not like."""


class FencedError(Exception):
    """Another sink owns the partition now; nothing of the block is stored."""


class UnansweredError(Exception):
    """The statement may or may not have been carried out: no connection, no answer, or an error that may pass."""


def meaning_of(code: int | None, text: str) -> RefusedError | FencedError | UnansweredError:
    """The exception to raise for an error; None stands for an error of the connection."""
    first = text.strip().splitlines()[0][:500] if text.strip() else "no answer"
    if code == FENCED:
        return FencedError(first)
    if code is not None and code in DATA:
        return RefusedError(first)
    return UnansweredError(first)
