"""Where the API listens: on loopback only, as long as there are no credentials."""

import ipaddress

import msgspec

from schemas.settings import SettingsError


class Listen(msgspec.Struct, frozen=True):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listen_address(text: str) -> Listen:
    """The setting http.listen. Raises SettingsError with a sentence for a person.

    A name other than localhost may lead anywhere tomorrow, so names are refused.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise SettingsError(f"http.listen: {text!r} is no address; HOST:PORT was expected, such as 127.0.0.1:8080")
    if host.lower() == "localhost":
        # One of its two meanings, so that the listener and its clients never disagree.
        return Listen("127.0.0.1", int(port))
    try:
        return Listen(str(ipaddress.ip_address(host)), int(port))
    except ValueError:
        raise SettingsError(
            f"http.listen: {host} is a name, which may lead elsewhere tomorrow; an IP address was expected"
        ) from None


def check_exposure(listen: Listen, *, credentials: bool) -> None:
    """Raises SettingsError when others could reach an API that asks nobody who he is."""
    if not credentials and not is_loopback(listen.host):
        raise SettingsError(
            f"http.listen: {listen.host} can be reached from elsewhere, and there are no credentials yet: make one "
            "with `sojourn auth add-user` or `add-token`, or listen on 127.0.0.1 or [::1]"
        )


def is_loopback(name: str) -> bool:
    """``localhost``, 127.0.0.0/8 and ::1; any other name may lead anywhere."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
