"""HOST:PORT as people type it on the command line, and whether a listener fits there."""

import errno
import ipaddress
import socket
import time

import msgspec


class AddressError(ValueError):
    """An address that cannot be used; the text is one sentence for the person who typed it."""


class Address(msgspec.Struct, frozen=True):
    """A host without brackets, and a port from 1 to 65535."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def reachable(self) -> "Address":
        """Where a client on this machine finds a listener of this address: 0.0.0.0 is everywhere, so loopback too."""
        wildcards = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        return Address(wildcards.get(self.host, self.host), self.port)


def parse_address(text: str, name: str) -> Address:
    """``127.0.0.1:8080``, ``localhost:8080`` or ``[::1]:8080``; ``name`` is the option, for the message.

    Port 0 is refused: the other processes and the printed commands have to know the port beforehand.
    """
    wanted = f"{name}: {text!r} is no address; HOST:PORT was expected, such as 127.0.0.1:8080 or [::1]:8080"
    host, colon, port_text = text.rpartition(":")
    if not colon or not host:
        raise AddressError(wanted)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise AddressError(wanted) from None
    elif ":" in host or any(character.isspace() or character in "/@[]" for character in host):
        raise AddressError(wanted)
    if not (port_text.isascii() and port_text.isdigit() and 1 <= int(port_text) <= 65535):
        raise AddressError(f"{name}: {port_text!r} is no port; a number from 1 to 65535 was expected")
    # One of two possible meanings, so that a listener and its clients never disagree.
    return Address("127.0.0.1" if host == "localhost" else host, int(port_text))


def loopback_address(text: str, name: str, server: str) -> Address:
    """As ``parse_address``, for a server that must not be reached from elsewhere."""
    address = parse_address(text, name)
    if not address.is_loopback:
        raise AddressError(
            f"{name}: {server} listens on loopback only (127.0.0.1 or [::1]), not on {address.host}; "
            "use a server of your own to be reached from elsewhere"
        )
    return address


def port_error(address: Address, name: str, server: str, wait: float = 2.0) -> str | None:
    """Why nothing can listen on ``address``, as one sentence; None when it is free.

    A port in use is tried again for ``wait`` seconds: the children of a supervisor that was just killed may still
    be ending.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            with socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address.host, address.port))
                probe.listen(1)
                return None
        except (OSError, UnicodeError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                return f"{address} is taken: {server} cannot listen there; end what uses it, or choose with {name}"
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return f"{server} cannot listen on {address}: {reason}; choose another address with {name}"
