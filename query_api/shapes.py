"""Rows as JSON text, made by ClickHouse: a shape names the members of a row and the expression behind each.

The format Template writes each row as it goes over the wire, so the API passes bytes on and never looks at a row.
"""

import msgspec

#: Between two rows. JSON text has no raw newline inside, so counting newlines counts rows.
BETWEEN = ",\n"


class Member(msgspec.Struct, frozen=True):
    """One member of the JSON object. ``raw``: the expression is JSON text already."""

    name: str
    expression: str
    raw: bool = False


class Shape(msgspec.Struct, frozen=True):
    members: tuple[Member, ...]

    @property
    def columns(self) -> str:
        """The select list."""
        return ", ".join(f"{member.expression} AS f{n}" for n, member in enumerate(self.members))

    @property
    def settings(self) -> dict[str, str]:
        """The format's settings: the row, what stands between rows, nothing around them."""
        members = ",".join(
            f'"{member.name}":${{f{n}:{"Raw" if member.raw else "JSON"}}}' for n, member in enumerate(self.members)
        )
        return {
            "format_template_row_format": "{" + members + "}",
            "format_template_rows_between_delimiter": BETWEEN,
            "format_template_resultset_format": "${data}",
            "output_format_json_escape_forward_slashes": "0",
            "output_format_json_named_tuples_as_objects": "1",
            "output_format_json_quote_64bit_integers": "0",
            "output_format_json_quote_denormals": "0",
        }


def json_object(column: str) -> str:
    """A text column that should hold a JSON object, as JSON on one line whatever it holds."""
    one_line = f"replaceRegexpAll({column}, '[\\r\\n]+', ' ')"
    is_object = f"isValidJSON({column}) AND startsWith(trimLeft({column}), '{{')"
    return f"multiIf({is_object}, {one_line}, {column} = '', '{{}}', toJSONString(map('text', {column})))"


def address(ip: str, port: str) -> str:
    """``10.0.0.5:22``; an IPv6 address in brackets, without port when that is 0, empty when nothing is known."""
    host = f"if({port} != 0 AND position({ip}, ':') > 0, concat('[', {ip}, ']'), {ip})"
    return f"concat({host}, if({port} != 0 AND {ip} != '', concat(':', toString({port})), ''))"
