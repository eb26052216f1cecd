import socket

import pytest

from deploy.addresses import Address, AddressError, loopback_address, parse_address, port_error


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:8080", "::1", 8080), ("localhost:1", "127.0.0.1", 1)],
)
def test_an_address_is_read_and_written_back(text: str, host: str, port: int) -> None:
    address = parse_address(text, "--http")
    assert address == Address(host, port)
    assert parse_address(str(address), "--http") == address


@pytest.mark.parametrize(
    "text",
    ["", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "::1:8080", "[::1]", "[x]:1", "a b:1", "http://h:1", "h/x:1"],
)
def test_what_is_no_address_is_refused_with_the_option_and_an_example(text: str) -> None:
    with pytest.raises(AddressError, match=r"--kafka: .*expected"):
        parse_address(text, "--kafka")


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x", "8o80", "٣"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(AddressError, match="a number from 1 to 65535 was expected"):
        parse_address(f"127.0.0.1:{port}", "--http")


def test_embedded_servers_listen_on_loopback_only() -> None:
    assert loopback_address("[::1]:9092", "--kafka", "the broker").port == 9092
    for elsewhere in ("0.0.0.0:9092", "192.0.2.1:9092", "example.org:9092"):
        with pytest.raises(AddressError, match="loopback only"):
            loopback_address(elsewhere, "--kafka", "the broker")


def test_a_wildcard_is_reached_on_loopback() -> None:
    assert str(Address("0.0.0.0", 80).reachable()) == "127.0.0.1:80"
    assert str(Address("::", 80).reachable()) == "[::1]:80"


def test_a_taken_port_gives_one_sentence_and_a_free_one_none() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        error = port_error(address, "--http", "the query API", wait=0)
        assert error is not None
        assert str(address) in error
        assert "is taken" in error
        assert "--http" in error
        assert "\n" not in error
    assert port_error(address, "--http", "the query API") is None


def test_an_address_of_another_machine_gives_one_sentence() -> None:
    error = port_error(Address("192.0.2.7", 8080), "--http", "the query API", wait=0)
    assert error is not None
    assert "cannot listen on 192.0.2.7:8080" in error
