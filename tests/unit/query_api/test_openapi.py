"""Doors: what is checked before a handler runs, and what the document says of it."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from query_api.errors import BadRequestError
from query_api.openapi.asked import check_body, check_query
from query_api.openapi.document import document
from query_api.openapi.doors import Door
from query_api.openapi.page import page


class ThingQuery(msgspec.Struct):
    size: Annotated[int, Meta(ge=1, le=10, description="Rows of a page")] | None = None
    word: list[Annotated[str, Meta(max_length=3)]] = []
    flag: Literal["", "true"] = ""
    to: str = msgspec.field(name="until", default="")


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    """A thing."""

    name: str
    size: int | UnsetType = UNSET


class Refused(msgspec.Struct):
    """``why`` it was (fudo-facts 2.8):

    in words.
    """

    why: str


async def nothing(request: web.Request) -> web.StreamResponse:
    raise NotImplementedError


@pytest.mark.parametrize(
    "query", [[], [("size", "10")], [("word", "a"), ("word", "abc")], [("flag", "")], [("until", "x")]]
)
def test_what_the_struct_allows_is_let_through(query: list[tuple[str, str]]) -> None:
    check_query(query, ThingQuery, strict=True)


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ([("size", "0")], "size", ">= 1"),
        ([("size", "11")], "size", "<= 10"),
        ([("size", "x")], "size", "expected int"),
        ([("size", "")], "size", "expected int"),
        ([("size", "1" * 30)], "size", "expected int"),
        ([("word", "abcd")], "word", "<= 3"),
        ([("flag", "1")], "flag", "'1'"),
        ([("size", "1"), ("size", "2")], "size", "twice"),
        ([("sise", "1")], "sise", "flag, size, until, word"),
        ([("to", "1")], "to", "no parameter"),
    ],
)
def test_what_it_does_not_allow_is_refused_by_name(query: list[tuple[str, str]], field: str, words: str) -> None:
    with pytest.raises(BadRequestError, match=words) as refused:
        check_query(query, ThingQuery, strict=True)
    assert refused.value.field == field


def test_where_clients_send_names_of_their_own_these_are_passed_over() -> None:
    check_query([("sise", "1"), ("size", "1"), ("size", "2")], ThingQuery, strict=False)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "name"), ({"name": 1}, "name"), ({"name": "a", "size": "1"}, "size"), ({"name": "a", "x": 1}, "")],
)
def test_a_body_is_held_against_its_struct(body: dict[str, Any], field: str) -> None:
    check_body({"name": "a", "size": 1}, Thing)
    with pytest.raises(BadRequestError) as refused:
        check_body(body, Thing)
    assert refused.value.field == field


def test_the_document_says_what_is_checked() -> None:
    doors = [
        Door(
            method="POST",
            path=r"/api/v2/thing/{id:[0-9]{1,3}}",
            handler=nothing,
            summary="<b>Make</b>",
            query=ThingQuery,
            body=Thing,
            answer=Thing,
            status=201,
            headers={"X-Name": Annotated[str, Meta(max_length=3, description="Its name")]},
            refusal=Refused,
        )
    ]
    found = document(doors, "1")
    operation = found["paths"]["/api/v2/thing/{id}"]["post"]
    by_name = {one["name"]: one for one in operation["parameters"]}
    assert list(by_name) == ["id", "size", "word", "flag", "until", "X-Name"]
    header = {"name": "X-Name", "in": "header", "required": False, "description": "Its name"}
    assert by_name["X-Name"] == {**header, "schema": {"type": "string", "maxLength": 3}}
    assert by_name["size"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 10}
    assert by_name["word"]["schema"]["items"] == {"type": "string", "maxLength": 3}
    assert operation["requestBody"]["required"] is True
    assert set(operation["responses"]) == {"201", "400", "4XX", "503"}
    either = operation["responses"]["400"]["content"]["application/json"]["schema"]["anyOf"]
    assert [one["$ref"].rpartition("/")[2] for one in either] == ["Refused", "FudoFailure"]
    assert operation["security"] == [{"key": []}]
    assert found["components"]["schemas"]["Thing"]["required"] == ["name"]
    text = page(found)
    assert "&lt;b&gt;Make" in text and "<b>Make" not in text
    # A docstring is for readers of the source: Markdown of it here, and code on the page.
    assert found["components"]["schemas"]["Refused"]["description"] == "`why` it was:\n\nin words."
    assert "<code>why</code> it was:" in text
