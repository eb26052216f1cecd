"""The query language of ``q`` and ``content``: luqum parses the text, one walk turns the tree into a filter.

NOT binds closest, then AND, then OR, then terms side by side, which are alternatives. Nothing of the text reaches SQL
but as a bound parameter.
"""

from collections.abc import Sequence

import msgspec
from luqum import tree
from luqum.exceptions import IllegalCharacterError, ParseSyntaxError
from luqum.parser import lexer, parser

from query_api.dialects.sps.fields import Catalogue, Field
from query_api.dialects.sps.quoting import Quoted, quoted
from query_api.dialects.sps.terms import TermError, phrase_pieces, range_filter, term_filter, word_pieces
from query_api.documents import shown
from query_api.errors import BadRequestError
from query_api.filters import Filter, Names, both, either, negated

#: Longest text in characters, deepest nesting (hard-questions: the query language's edges).
LENGTH_LIMIT = 4096
DEPTH_LIMIT = 50

#: What luqum knows and this language does not, by the words that a person would use.
_REFUSED = {
    tree.Fuzzy: "a fuzzy term (~)",
    tree.Proximity: "a proximity (~)",
    tree.Boost: "a boost (^)",
    tree.Regex: "a regex (/…/)",
    tree.From: "a comparison (>)",
    tree.To: "a comparison (<)",
}


def query_filter(text: str, catalogue: Catalogue, parameter: str, names: Names) -> Filter:
    """Rows that the query ``text`` of ``parameter`` finds. Raises BadRequestError that says what is wrong and where."""
    if len(text) > LENGTH_LIMIT:
        raise BadRequestError(
            f"{parameter} has {len(text)} characters, at most {LENGTH_LIMIT} are allowed", field=parameter
        )
    source = quoted(text)
    if source.depth > DEPTH_LIMIT:
        raise BadRequestError(f"{parameter} is nested deeper than {DEPTH_LIMIT} parentheses", field=parameter)
    walk = _Walk(catalogue, parameter, names, source)
    root = walk.parsed()
    walk.check_size(root)
    return walk.filter(root, None)


class _Scope(msgspec.Struct, frozen=True):
    """The property that the terms of a group belong to, and where it was named."""

    field: Field
    place: int


class _Walk:
    """One query on its way from text to filter."""

    def __init__(self, catalogue: Catalogue, parameter: str, names: Names, source: Quoted) -> None:
        self._catalogue = catalogue
        self._parameter = parameter
        self._names = names
        self._source = source

    def parsed(self) -> tree.Item:
        try:
            return parser.parse(self._source.text, lexer=lexer)
        except IllegalCharacterError as error:
            raise self._illegal(str(error)) from None
        except ParseSyntaxError as error:
            raise self._syntax(str(error)) from None

    def check_size(self, root: tree.Item) -> None:
        """Before anything walks the tree by recursion."""
        waiting = [(root, 1)]
        terms = 0
        while waiting:
            node, depth = waiting.pop()
            if depth > 2 * DEPTH_LIMIT:
                raise self._error("is nested too deeply")
            terms += isinstance(node, tree.Term)
            waiting += [(child, depth + 1) for child in node.children]
        if terms > self._catalogue.terms:
            raise self._error(f"has {terms} terms, at most {self._catalogue.terms} are allowed")

    def filter(self, node: tree.Item, scope: _Scope | None) -> Filter:
        match node:
            case tree.SearchField():
                return self._search(node, scope)
            case tree.Group() | tree.FieldGroup() | tree.Plus():
                return self.filter(node.children[0], scope)
            case tree.Not() | tree.Prohibit():
                return negated(self.filter(node.children[0], scope))
            case tree.AndOperation():
                return both([self.filter(child, scope) for child in node.children])
            case tree.OrOperation():
                return either([self.filter(child, scope) for child in node.children])
            case tree.UnknownOperation():
                return self._side_by_side(node.children, scope)
            case tree.Range():
                return self._range(node, scope)
            case tree.Word() | tree.Phrase():
                return self._term(node, scope)
        words = _REFUSED.get(type(node), f"{type(node).__name__}")
        raise self._error(f"has {words}, which this language does not know", node)

    def _side_by_side(self, nodes: Sequence[tree.Item], scope: _Scope | None) -> Filter:
        """Alternatives; ``+`` makes a term necessary, ``-`` and NOT exclude."""
        filters = [(node, self.filter(node, scope)) for node in nodes]
        excluded = [found for node, found in filters if isinstance(node, tree.Not | tree.Prohibit)]
        needed = [found for node, found in filters if isinstance(node, tree.Plus)]
        wanted = [found for node, found in filters if not isinstance(node, tree.Not | tree.Prohibit | tree.Plus)]
        if wanted and not needed:
            needed = [either(wanted)]
        return both([*needed, *excluded])

    def _search(self, node: tree.SearchField, scope: _Scope | None) -> Filter:
        if scope is not None:
            within = f"names the property {shown(node.name)} within that of {scope.field.name}"
            raise self._error(f"{within}; a value with a colon must be quoted", node)
        field = self._catalogue.fields.get(node.name)
        if field is None:
            known = ", ".join(sorted(name for name, known in self._catalogue.fields.items() if known.listed))
            raise self._error(f"has no property {shown(node.name)}; known are {known}", node)
        return self.filter(node.children[0], _Scope(field, node.pos))

    def _term(self, node: tree.Word | tree.Phrase, scope: _Scope | None) -> Filter:
        pieces = phrase_pieces(node.value[1:-1]) if isinstance(node, tree.Phrase) else word_pieces(node.value)
        fields = [scope.field] if scope else [self._catalogue.fields[name] for name in self._catalogue.plain]
        try:
            return either([term_filter(field, pieces, self._names) for field in fields])
        except TermError as error:
            raise self._unfit(node, scope, error) from None

    def _range(self, node: tree.Range, scope: _Scope | None) -> Filter:
        if scope is None:
            raise self._error("has a range without a property", node)
        ends = [_end(node.low), _end(node.high)]
        try:
            return range_filter(scope.field, ends[0], ends[1], (node.include_low, node.include_high), self._names)
        except TermError as error:
            raise self._unfit(node, scope, error) from None

    def _unfit(self, node: tree.Item, scope: _Scope | None, error: TermError) -> BadRequestError:
        name = scope.field.name if scope else "a term"
        return self._error(f"does not fit {name}: {error}", node)

    def _error(self, words: str, node: tree.Item | None = None) -> BadRequestError:
        place = "" if node is None or node.pos is None else f" at character {self._source.place(node.pos)}"
        return BadRequestError(f"{self._parameter}{place} {words}", field=self._parameter)

    def _illegal(self, text: str) -> BadRequestError:
        """luqum names the rest of the text and, at the end, its position."""
        place = int(text.rpartition(" ")[2])
        character = self._source.text[place : place + 1]
        words = f"has {shown(character)} where no term may begin; a backslash makes it text"
        if character == '"':
            words = "has a quote that is not closed"
        return BadRequestError(
            f"{self._parameter} at character {self._source.place(place)} {words}", field=self._parameter
        )

    def _syntax(self, text: str) -> BadRequestError:
        if text.endswith("at the end!"):
            return self._error("ends in the middle: a term or a closing parenthesis is missing")
        place = int(text.removesuffix("!").rpartition(" ")[2])
        character = shown(self._source.text[place : place + 8])
        words = f"at character {self._source.place(place)} cannot be understood from {character} on"
        if character.startswith(":"):
            words += '; a value with a colon, such as an IPv6 address, must be quoted: client.ip:"2001:db8::1"'
        return self._error(words)


def _end(node: tree.Item) -> str:
    """The text of one end of a range."""
    if isinstance(node, tree.Prohibit):
        return f"-{_end(node.children[0])}"
    text = str(node.value)
    return text[1:-1] if isinstance(node, tree.Phrase) else text
