"""Cost of decoding one message, with everything the worker and the sink need: `python -m bench.decoders`.

Prints medians of seven runs in CPU time, one line per format. The sink's share is the first line: events of 200 bytes.
"""

import statistics
import time
from pathlib import Path

from producers.formats import DECODERS, Rejection, Source, decode

_RUNS = 7
_MESSAGES = 20_000
_RECORDING = Path(__file__).parent.parent / "deploy" / "demo" / "cowrie-live.json"

_EVE_LOG = Path(__file__).parent.parent / "tests" / "data" / "formats" / "suricata.txt"
_CONN_LOG = Path(__file__).parent.parent / "tests" / "data" / "zeek-conn.json"

_EVENT = (
    b'{"sensor":"ssh-01","time":"2026-11-22T01:04:19.848253Z","kind":"command","session_id":"21e2674a3315",'
    b'"protocol":"ssh","client_ip":"192.0.2.77","client_port":54762,"data":"uname -a; id; cat /proc/cpuinfo"}'
)
_CONNECTION = (
    b'{"action":"connect","sensor":"ssh-01","time":"2026-11-22T01:04:19.848253Z","session_id":"21e2674a3315",'
    b'"protocol":"ssh","client_ip":"192.0.2.77","client_port":54762,"server_ip":"198.51.100.7","server_port":22}'
)


def measure(name: str, format_name: str, messages: list[bytes]) -> None:
    decoder = DECODERS[format_name]
    source = Source("epoch", "topic", 0)
    some = [messages[at % len(messages)] for at in range(_MESSAGES)]
    seconds = []
    for _ in range(_RUNS):
        begin = time.process_time()
        for offset, message in enumerate(some):
            if isinstance(decode(decoder, message, offset, 1, source), Rejection):
                raise SystemExit(f"{name}: {message!r} was rejected")
        seconds.append(time.process_time() - begin)
    median = statistics.median(seconds)
    size = sum(map(len, some)) / len(some)
    print(f"{name:45} {size:5.0f} bytes  {median / _MESSAGES * 1e6:6.2f} µs  {_MESSAGES / median:9,.0f}/s")


def main() -> None:
    measure("sojourn.event", "sojourn.event", [_EVENT])
    measure("sojourn.event, a field we do not know", "sojourn.event", [_EVENT[:-1] + b',"honeypot":"x"}'])
    measure("sojourn.event, port as text", "sojourn.event", [_EVENT.replace(b"54762", b'"54762"')])
    measure("sojourn.connection", "sojourn.connection", [_CONNECTION])
    lines = _RECORDING.read_bytes().splitlines()
    measure("cowrie, the recording", "cowrie", lines)
    measure("cowrie, the recording without key exchanges", "cowrie", [x for x in lines if b"client.kex" not in x])
    measure("suricata, a flow", "suricata", _EVE_LOG.read_bytes().splitlines()[:1])
    measure("suricata, an alert", "suricata", _EVE_LOG.read_bytes().splitlines()[1:2])
    measure("suricata, http", "suricata", _EVE_LOG.read_bytes().splitlines()[4:5])
    measure("zeek, conn.log of the recording", "zeek", _CONN_LOG.read_bytes().splitlines())


if __name__ == "__main__":
    main()
