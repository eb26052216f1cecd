"""Where the API listens: on loopback only, as long as there are no credentials."""

import ipaddress

import msgspec

from query_api.middlewares import is_loopback
from schemas.settings import SettingsError


class Listen(msgspec.Struct, frozen=True):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listen_address(text: str) -> Listen:
    """The setting http.listen, checked. Raises SettingsError with a sentence for a person.

    A name other than localhost may lead anywhere tomorrow, so names are refused too.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise SettingsError(f"http.listen: {text!r} is no address; HOST:PORT was expected, such as 127.0.0.1:8080")
    if not is_loopback(host):
        raise SettingsError(
            f"http.listen: {host} can be reached from elsewhere, and this API has no credentials yet: "
            "listen on 127.0.0.1 or [::1]"
        )
    # One of its two meanings, so that the listener and its clients never disagree.
    return Listen("127.0.0.1" if host.lower() == "localhost" else str(ipaddress.ip_address(host)), int(port))
