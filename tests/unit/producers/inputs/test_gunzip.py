import gzip
import zlib

import pytest

from producers.inputs.gunzip import Gunzip


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b"one two three"),
        gzip.compress(b"one ") + gzip.compress(b"two three"),
        gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two three") + b"\0" * 100,
    ],
    ids=["one member", "two members", "an empty member and padding"],
)
def test_members_follow_each_other_however_the_bytes_come(packed: bytes, size: int) -> None:
    gunzip = Gunzip()
    content = b"".join(piece for at in range(0, len(packed), size) for piece in gunzip.feed(packed[at : at + size]))
    assert content == b"one two three"
    assert gunzip.complete


def test_a_stream_that_ends_too_early_says_so() -> None:
    gunzip = Gunzip()
    packed = gzip.compress(b"x" * 100_000)
    for _ in gunzip.feed(packed[:-5]):
        pass
    assert not gunzip.complete


def test_a_small_chunk_that_unpacks_to_much_comes_in_bounded_pieces() -> None:
    gunzip = Gunzip()
    sizes = [len(piece) for piece in gunzip.feed(gzip.compress(b"0" * 20_000_000))]
    assert sum(sizes) == 20_000_000
    assert max(sizes) <= 1 << 20


def test_broken_data_are_an_error() -> None:
    packed = bytearray(gzip.compress(b"one two three"))
    packed[-6] ^= 1
    with pytest.raises(zlib.error):
        list(Gunzip().feed(bytes(packed)))
