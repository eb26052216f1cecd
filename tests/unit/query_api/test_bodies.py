"""Bodies that come compressed: whole, or refused with a reason."""

import gzip
import zlib

import pytest

from query_api.bodies import unpacked
from query_api.errors import ApiError, BadRequestError, TooLargeError, UnsupportedMediaTypeError

BODY = b'{"response_per_page": 1}' * 20


@pytest.mark.parametrize(
    ("sent", "coding"),
    [
        (BODY, ""),
        (BODY, "identity"),
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), " GZip "),
        (gzip.compress(BODY[:100]) + gzip.compress(BODY[100:]), "gzip"),
        (zlib.compress(BODY), "deflate"),
    ],
)
def test_a_whole_body_is_unpacked(sent: bytes, coding: str) -> None:
    assert unpacked(sent, coding, len(BODY)) == BODY
    if coding:
        assert unpacked(gzip.compress(b""), "gzip", 1) == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_is_cut_short_is_refused_wherever_it_is_cut(coding: str) -> None:
    whole = gzip.compress(BODY) if coding == "gzip" else zlib.compress(BODY)
    for length in range(len(whole)):
        with pytest.raises(BadRequestError):
            unpacked(whole[:length], coding, 10_000)


@pytest.mark.parametrize(
    ("sent", "coding", "error"),
    [
        (b"{}", "gzip", BadRequestError),
        (gzip.compress(BODY) + b"garbage", "gzip", BadRequestError),
        (gzip.compress(BODY), "deflate", BadRequestError),
        (b"{}", "br", UnsupportedMediaTypeError),
        (b"{}", "gzip, gzip", UnsupportedMediaTypeError),
        (gzip.compress(b" " * 50_000_000), "gzip", TooLargeError),
        (gzip.compress(BODY) * 3, "gzip", TooLargeError),
    ],
)
def test_anything_else_is_refused(sent: bytes, coding: str, error: type[ApiError]) -> None:
    with pytest.raises(error):
        unpacked(sent, coding, 2 * len(BODY))
