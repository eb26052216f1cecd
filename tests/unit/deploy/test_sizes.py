"""Sizes as people type them."""

import pytest

from deploy.addresses import AddressError
from deploy.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("1GiB", 1 << 30), ("1.5 gib", 3 << 29), ("64mib", 64 << 20), ("2 GB", 2 * 10**9)],
)
def test_a_size_is_bytes_or_a_number_with_a_unit(text: str, size: int) -> None:
    assert parse_size(text, "--broker-memory") == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1 TiBB", "1e9", "GiB", "1 Gi B", "\u0661GiB"])
def test_anything_else_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(AddressError, match=r"--broker-memory: .* is no size"):
        parse_size(text, "--broker-memory")
