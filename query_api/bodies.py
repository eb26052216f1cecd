"""Bodies that come compressed: whole or refused.

aiohttp would unpack them itself, but takes a gzip body that is cut short for a shorter one.
"""

import zlib

from query_api.errors import BadRequestError, TooLargeError, UnsupportedMediaTypeError

#: ``wbits`` of each coding we take: gzip with its header, deflate with zlib's.
_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def unpacked(body: bytes, coding: str, limit: int) -> bytes:
    """The bytes behind a Content-Encoding.

    Raises UnsupportedMediaTypeError for another coding, BadRequestError for what is no whole stream of it,
    TooLargeError when there are more than ``limit`` bytes: no more than these are ever unpacked.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in _CODINGS:
        known = "gzip, deflate or identity"
        raise UnsupportedMediaTypeError(f"Content-Encoding must be {known}", field="Content-Encoding")
    found = bytearray()
    # A gzip body may be several streams, one after the other; it is one at least.
    first = True
    while body or first:
        first = False
        stream = zlib.decompressobj(_CODINGS[coding])
        try:
            found += stream.decompress(body, limit + 1 - len(found))
        except zlib.error:
            raise BadRequestError(f"the body is no {coding} stream", field="Content-Encoding") from None
        if len(found) > limit:
            raise TooLargeError(f"the body has more than {limit} bytes")
        if not stream.eof:
            raise BadRequestError(f"the body ends before its {coding} stream does", field="Content-Encoding")
        body = stream.unused_data
    return bytes(found)
