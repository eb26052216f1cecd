"""How an address is written that somebody asks for."""

import pytest

from query_api.addresses import spellings


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001"),
        ("2001:db8::1", "2001:db8:0:0:0:0:0:1"),
        ("2001:0db8::0001", "2001:DB8::1"),
        ("::FFFF:192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:192.0.2.1", "::ffff:c000:201"),
        ("fe80:0::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_ipv6_address_is_asked_for_in_any_spelling(asked: str, stored: str) -> None:
    assert stored in spellings(asked)
    assert spellings(asked)[0] == asked


@pytest.mark.parametrize("text", ["192.0.2.1", "", "zz", "2001:db8::1::2", "2001:db8::1/64", "a" * 5000])
def test_anything_else_is_what_it_is(text: str) -> None:
    assert spellings(text) == (text,)
