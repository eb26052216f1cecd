"""Requests of Honeytrap's clients: what is taken, what is refused and which field is named."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.dialects.honeytrap.request import Request, parse
from query_api.documents import json_object, query_pairs
from query_api.errors import BadRequestError
from query_api.paging import Page
from schemas.kinds import CODES


def asked(body: bytes = b"", query: str = "") -> Request:
    return parse(json_object(body), query_pairs(query))


NOTHING = Request(page=None, codes=(), kinds=(), sensors=(), rfc3339=False)

TAKEN: list[tuple[bytes, str, dict[str, Any]]] = [
    (b"", "", {}),
    (b" \r\n\t", "", {}),
    (b"{}", "", {}),
    (b'{"response_per_page":10,"page":1}', "", {"page": Page(10, 1)}),
    (b'{"responser_per_page":10,"page":2}', "", {"page": Page(10, 2)}),
    (b'{"response_per_page":7}', "", {"page": Page(7, 1)}),
    (b'{"response_per_page":10000,"page":100000}', "", {"page": Page(10_000, 100_000)}),
    (b'{"types":[1,5,20],"sensors":["ping","^connect"]}', "", {"codes": (1, 5, 20), "sensors": ("ping", "^connect")}),
    (b'{"types":["command",5,"^login"]}', "", {"codes": (5,), "kinds": ("command", "^login")}),
    (b'{"types":["5"]}', "", {"kinds": ("5",)}),
    (b'{"types":[0]}', "", {"codes": (0,)}),
    (b'{"types":[],"sensors":[]}', "", {}),
    (b'{"sensors":[""]}', "", {"sensors": ("",)}),
    (b'{"sensors":["a\\u0000b"]}', "", {"sensors": ("a\0b",)}),
    (b'{"time_format":"rfc3339"}', "", {"rfc3339": True}),
    (b"", "response_per_page=10&page=3", {"page": Page(10, 3)}),
    (b"", "types=1,5&sensors=^ssh_&sensors=ping", {"codes": (1, 5), "sensors": ("^ssh_", "ping")}),
    (b"", "types=1&types=command", {"codes": (1,), "kinds": ("command",)}),
    (b"", "sensors=a{1,2}", {"sensors": ("a{1,2}",)}),
    (b"", "sensors=a%2Bb+c", {"sensors": ("a+b c",)}),
    (b"", "sensors=%C3%A9", {"sensors": ("é",)}),
    (b"", "sensors=", {"sensors": ("",)}),
    (b'{"page":2}', "response_per_page=5", {"page": Page(5, 2)}),
    (b'{"sensors":["' + b"a" * 1024 + b'"]}', "", {"sensors": ("a" * 1024,)}),
]


@pytest.mark.parametrize(("body", "query", "expected"), TAKEN)
def test_a_request_is_understood(body: bytes, query: str, expected: dict[str, Any]) -> None:
    assert asked(body, query) == msgspec.structs.replace(NOTHING, **expected)


REFUSED: list[tuple[bytes, str, str]] = [
    (b'{"page":1}', "", "response_per_page"),
    (b"", "page=1", "response_per_page"),
    (b'{"response_per_page":0}', "", "response_per_page"),
    (b'{"response_per_page":-1}', "", "response_per_page"),
    (b'{"response_per_page":10001}', "", "response_per_page"),
    (b'{"responser_per_page":0}', "", "responser_per_page"),
    (b'{"response_per_page":1,"responser_per_page":1}', "", "responser_per_page"),
    (b'{"response_per_page":10,"page":0}', "", "page"),
    (b'{"response_per_page":10,"page":-3}', "", "page"),
    (b'{"page":0}', "", "page"),
    (b'{"response_per_page":10000,"page":100001}', "", "page"),
    (b'{"response_per_page":10,"page":99999999999999999999999999}', "", "page"),
    (b"", "response_per_page=1&page=" + "9" * 5000, "page"),
    (b'{"response_per_page":true}', "", "response_per_page"),
    (b'{"response_per_page":10.0}', "", "response_per_page"),
    (b'{"response_per_page":"10"}', "", "response_per_page"),
    (b'{"response_per_page":null}', "", "response_per_page"),
    (b'{"response_per_page":10,"page":[1]}', "", "page"),
    (b"", "response_per_page=ten", "response_per_page"),
    (b"", "response_per_page=", "response_per_page"),
    (b"", "response_per_page=1&response_per_page=1", "response_per_page"),
    (b'{"types":5}', "", "types"),
    (b'{"types":"5"}', "", "types"),
    (b'{"types":null}', "", "types"),
    (b'{"types":[true]}', "", "types"),
    (b'{"types":[1.5]}', "", "types"),
    (b'{"types":[null]}', "", "types"),
    (b'{"types":[[]]}', "", "types"),
    (b'{"types":[-1]}', "", "types"),
    (b'{"types":[2147483648]}', "", "types"),
    (b'{"types":[1' + b"0" * 4000 + b"]}", "", "types"),
    (b"", "types=", "types"),
    (b"", "types=1,,5", "types"),
    (b"", "types=-1", "types"),
    (b'{"sensors":"ping"}', "", "sensors"),
    (b'{"sensors":[1]}', "", "sensors"),
    (b'{"sensors":{"a":"b"}}', "", "sensors"),
    (b'{"sensors":["\\ud800"]}', "", "sensors"),
    (b'{"sensors":["' + b"a" * 1025 + b'"]}', "", "sensors"),
    (b'{"types":["' + b"a" * 1025 + b'"]}', "", "types"),
    (b'{"sensors":[' + b",".join([b'"a"'] * 101) + b"]}", "", "sensors"),
    (b"", "&".join(["sensors=a"] * 101), "sensors"),
    (b'{"time_format":"iso"}', "", "time_format"),
    (b'{"time_format":null}', "", "time_format"),
    (b'{"tipes":[1]}', "", "tipes"),
    (b"", "limit=3", "limit"),
    (b'{"page":1,"page":2,"response_per_page":1}', "", "page"),
    (b'{"types":[1]}', "types=1", "types"),
    (b'{"response_per_page":1}', "response_per_page=1", "response_per_page"),
    (b'{"x":{"a":1,"a":2}}', "", "a"),
]


@pytest.mark.parametrize(("body", "query", "field"), REFUSED)
def test_a_wrong_request_is_refused_by_the_name_of_its_field(body: bytes, query: str, field: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        asked(body, query)
    assert refused.value.field == field
    assert refused.value.message


NOT_JSON = [
    b"{",
    b"[]",
    b"null",
    b"1",
    b'"a"',
    b"{'a':1}",
    b"\xff",
    b'{"page":\xff}',
    b'{"page":NaN}',
    b"\xef\xbb\xbf{}",
]
NOT_JSON += [b'{"page":-Infinity}', b"[" * 1_000_000, b'{"a":' * 200_000, b'{"page":' + b"9" * 5000 + b"}", b"{} {}"]


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[:20]))
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        asked(body)


def test_a_query_string_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(BadRequestError, match="UTF-8"):
        asked(query="sensors=%ff")


MEMBERS = st.dictionaries(
    st.sampled_from(["response_per_page", "responser_per_page", "page", "types", "sensors", "time_format", "x"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=6,
    ),
)


@given(st.binary() | MEMBERS.map(msgspec.json.encode), st.text())
def test_any_bytes_and_any_query_are_understood_or_refused(body: bytes, query: str) -> None:
    try:
        request = asked(body, query)
    except BadRequestError as refused:
        assert refused.status == 400
        refused.message.encode()
        refused.field.encode()
    else:
        assert request.page is None or 1 <= request.page.size <= 10_000


@given(st.integers(1, 10_000), st.integers(1, 100_000))
def test_page_k_of_size_n_begins_after_k_minus_1_times_n_rows(size: int, number: int) -> None:
    request = parse({"response_per_page": size, "page": number}, [])
    assert request.page is not None
    assert request.page.offset == (number - 1) * size


def test_the_document_has_every_kind_with_its_code() -> None:
    text = Path("docs/dialects/honeytrap.md").read_text(encoding="utf-8")
    listed: dict[str, int] = {}
    for line in text.partition("## Kinds and codes")[2].partition("## Errors")[0].splitlines():
        match = re.fullmatch(r"\| (.*`.*) \| (\d+) \|", line)
        if match:
            listed |= dict.fromkeys(re.findall(r"`([^`]+)`", match[1]), int(match[2]))
    assert listed == dict(CODES)
