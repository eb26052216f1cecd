"""Sessions as comma-separated values: a line of names, then a line for each."""

from typing import ClassVar

from query_api.dialects.sps.fields import Field, asides
from query_api.shapes import Member, Shape


class CsvShape(Shape, frozen=True):
    """Rows of RFC 4180; ClickHouse puts quotes where a value needs them."""

    #: A value in quotes may have newlines.
    rows_are_lines: ClassVar[bool] = False

    @property
    def settings(self) -> dict[str, str]:
        row = ",".join(f"${{f{n}:CSV}}" for n in range(len(self.members)))
        return {
            **super().settings,
            "format_template_row_format": row,
            "format_template_rows_between_delimiter": "\r\n",
            "format_csv_null_representation": "",
        }


def csv_shape(fields: list[Field]) -> CsvShape:
    members = [Member("key", "session_id")]
    members += [Member(field.name, field.shown or field.expression) for field in fields]
    return CsvShape(tuple(members), asides(fields))


def header(shape: CsvShape) -> bytes:
    return ",".join(member.name for member in shape.members).encode() + b"\r\n"
