"""From a sensor's own format to records: one module per format, and the table of all of them.

A new format is three steps: docs/formats/README.md.
"""

from collections.abc import Mapping
from types import MappingProxyType

from producers.formats.cowrie import decode_cowrie
from producers.formats.decoded import Decoded, Decoder, Rejection, Source
from producers.formats.honeytrap import decode_honeytrap
from producers.formats.netalertx import decode_netalertx
from producers.formats.position import decode
from producers.formats.sojourn import decode_connection, decode_event
from producers.formats.sshd import decode_sshd
from producers.formats.suricata import decode_suricata
from producers.formats.teleport import decode_teleport
from producers.formats.zeek import decode_zeek

#: The names are those of ``schemas.topics.format_of``.
DECODERS: Mapping[str, Decoder] = MappingProxyType(
    {
        "sojourn.event": decode_event,
        "sojourn.connection": decode_connection,
        "cowrie": decode_cowrie,
        "honeytrap": decode_honeytrap,
        "netalertx": decode_netalertx,
        "sshd": decode_sshd,
        "suricata": decode_suricata,
        "teleport": decode_teleport,
        "zeek": decode_zeek,
    }
)

__all__ = ["DECODERS", "Decoded", "Decoder", "Rejection", "Source", "decode"]
