"""Signature Version 4 as Amazon's own examples have it (Authenticating Requests: Using the Authorization Header)."""

import hashlib
from datetime import UTC, datetime

from stream_processors.backup.signing import Key, path_of, signed

_KEY = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
_NOW = datetime(2013, 5, 24, tzinfo=UTC)


def _signature(headers: dict[str, str]) -> str:
    return headers["Authorization"].rpartition("Signature=")[2]


def test_putting_an_object_is_signed_as_in_amazons_example() -> None:
    body = b"Welcome to Amazon S3."
    headers = {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    url = "https://examplebucket.s3.amazonaws.com/test%24file.text"
    found = signed("PUT", url, headers, hashlib.sha256(body).hexdigest(), _KEY, _NOW)
    assert _signature(found) == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    assert "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class," in found["Authorization"]


def test_getting_an_object_is_signed_as_in_amazons_example() -> None:
    url = "https://examplebucket.s3.amazonaws.com/test.txt"
    nothing = hashlib.sha256(b"").hexdigest()
    found = signed("GET", url, {"Range": "bytes=0-9"}, nothing, _KEY, _NOW)
    assert _signature(found) == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"


def test_names_of_objects_are_encoded_once_and_keep_their_slashes() -> None:
    assert path_of("bucket", "a b/c%2F+ä") == "/bucket/a%20b/c%252F%2B%C3%A4"
