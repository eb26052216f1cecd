"""Rows as JSON text, made by ClickHouse: a shape names the members of a row and the expression behind each.

The format Template writes each row as it goes over the wire, so the API passes bytes on and never looks at a row.
"""

from typing import ClassVar

import msgspec

#: Between two rows. JSON text has no raw newline inside, so counting newlines counts rows.
BETWEEN = ",\n"


class Member(msgspec.Struct, frozen=True):
    """One member of the JSON object. ``raw``: the expression is JSON text already.

    ``sparse``: the member is left out of rows where the expression is NULL (raw: where it is empty).
    """

    name: str
    expression: str
    raw: bool = False
    sparse: bool = False


class Shape(msgspec.Struct, frozen=True):
    """``aside``: a WITH clause that members refer to; it may use the keys of the page's rows, ``k0``, ``k1`` …, and
    ``first`` and ``last``, between which their times lie; it is for pages that are read by keys only. ``pairs``:
    expressions of arrays of ``"name":value``, whose members come after the others; an empty text in them is no member.
    One of them is analysed far sooner than a member for each."""

    #: Whether every row is one line, so that lines can be counted instead of rows.
    rows_are_lines: ClassVar[bool] = True

    members: tuple[Member, ...]
    aside: str = ""
    pairs: tuple[str, ...] = ()

    @property
    def columns(self) -> str:
        """The select list."""
        if self._is_sparse:
            return f"{self._text} AS row"
        return ", ".join(f"{member.expression} AS f{n}" for n, member in enumerate(self.members))

    @property
    def _is_sparse(self) -> bool:
        return bool(self.pairs) or any(member.sparse for member in self.members)

    @property
    def _text(self) -> str:
        """The whole row as one expression: what its members are differs from row to row."""
        pairs = f"[{', '.join(_pair(member) for member in self.members)}]"
        if self.pairs:
            pairs = f"arrayConcat({', '.join([pairs, *self.pairs])})"
        return f"concat('{{', arrayStringConcat(arrayFilter(pair -> pair != '', {pairs}), ','), '}}')"

    @property
    def settings(self) -> dict[str, str]:
        """The format's settings: the row, what stands between rows, nothing around them."""
        members = ",".join(
            f'"{member.name}":${{f{n}:{"Raw" if member.raw else "JSON"}}}' for n, member in enumerate(self.members)
        )
        return {
            "format_template_row_format": "${row:Raw}" if self._is_sparse else "{" + members + "}",
            "format_template_rows_between_delimiter": BETWEEN,
            "format_template_resultset_format": "${data}",
            "output_format_json_escape_forward_slashes": "0",
            "output_format_json_named_tuples_as_objects": "1",
            "output_format_json_quote_64bit_integers": "0",
            "output_format_json_quote_denormals": "0",
        }


def _pair(member: Member) -> str:
    """``"name":value`` as an expression, the empty text where the row has no such member."""
    name = f"'\"{member.name}\":'"
    if not member.sparse:
        value = member.expression if member.raw else f"ifNull(toJSONString({member.expression}), 'null')"
        return f"concat({name}, {value})"
    value = f"nullIf({member.expression}, '')" if member.raw else f"toJSONString({member.expression})"
    return f"ifNull(concat({name}, {value}), '')"


def json_object(column: str) -> str:
    """A text column that should hold a JSON object, as JSON on one line whatever it holds."""
    one_line = f"replaceRegexpAll({column}, '[\\r\\n]+', ' ')"
    is_object = f"isValidJSON({column}) AND startsWith(trimLeft({column}), '{{')"
    return f"multiIf({is_object}, {one_line}, {column} = '', '{{}}', toJSONString(map('text', {column})))"


def address(ip: str, port: str) -> str:
    """``10.0.0.5:22``; an IPv6 address in brackets, without port when that is 0, empty when nothing is known."""
    host = f"if({port} != 0 AND position({ip}, ':') > 0, concat('[', {ip}, ']'), {ip})"
    return f"concat({host}, if({port} != 0 AND {ip} != '', concat(':', toString({port})), ''))"
