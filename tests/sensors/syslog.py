"""A daemon that takes what programs of this machine log, and writes it as rsyslog does: time, host, program, words."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

#: Where the C library sends what programs log.
SOCKET = Path("/dev/log")
#: Priority and local time, before program and message.
_HEADER = re.compile(rb"<[0-9]{1,3}>[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} ")
_LONGEST = 65_536


@contextmanager
def syslog_into(file: Path, host: str, program: bytes) -> Iterator[None]:
    """What ``program`` logs while the context lasts goes into the file. Raises OSError where the socket is taken."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door, file.open("ab", buffering=0) as log:
        door.bind(str(SOCKET))
        SOCKET.chmod(0o666)

        def take() -> None:
            while datagram := door.recv(_LONGEST):
                said = _HEADER.sub(b"", datagram, count=1)
                if said.startswith(program):
                    now = datetime.now(UTC).isoformat(timespec="microseconds")
                    log.write(f"{now} {host} ".encode() + said.rstrip(b"\n\0") + b"\n")

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield
        finally:
            # An empty datagram ends it, after all that came before.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.connect(str(SOCKET))
                last.send(b"")
            thread.join()
            SOCKET.unlink()
