"""A million damaged lines, all formats together: each is decoded or refused with a reason, and none takes long."""

import random
import time
from collections import Counter

import pytest

from producers.formats import DECODERS, Rejection, Source, decode
from schemas.dead_letters import Reason
from schemas.times import EARLIEST, LATEST
from tests.unit.producers.formats.test_any_bytes import lines

pytestmark = pytest.mark.slow

_LINES = 1_000_000
#: CPU seconds for one line of at most a few kilobytes; a hang would be minutes.
_LONGEST = 1.0
_SOURCE = Source("e", "t", 0)

#: What readers stumble over: ends of structures, numbers of any size, escapes, bytes that are no UTF-8, control bytes.
_TOKENS = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"-", b"-0", b"1e999", b"-1e999", b"1e-999"),
    *(b"9" * 30, b"0.1", b"18446744073709551616", b"-9223372036854775809", b"NaN", b"Infinity", b"65536"),
    *(b"\\ud800", b"\\u0000", b"\xff", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\x00", b"\t", b"\r", b"\n"),
    *(b"2026-13-45T99:99:99Z", b"0001-01-01T00:00:00+23:59", b"99999-01-01"),
    *(b" " * 50, b"[" * 2000, b'{"a":' * 500, b"x" * 5000),
)


def damaged(line: bytes, other: bytes, chance: random.Random) -> bytes:
    """The line after one to three accidents."""
    for _ in range(chance.randint(1, 3)):
        size = len(line)
        at = chance.randrange(size + 1)
        match chance.randrange(6):
            case 0:
                line = line[:at] + bytes((chance.randrange(256),)) + line[at + 1 :]
            case 1:
                line = line[:at] + line[at + chance.randrange(1, 30) :]
            case 2:
                line = line[:at] + chance.choice(_TOKENS) + line[at:]
            case 3:
                line = line[:at]
            case 4:
                line = line[:at] + line[max(0, at - chance.randrange(1, 60)) :]
            case 5:
                line = line[:at] + other[chance.randrange(len(other) + 1) :]
    return line


def test_a_million_damaged_lines_are_decoded_or_refused_with_a_reason() -> None:
    chance = random.Random(20261122)
    names = sorted(DECODERS)
    samples = {name: lines(name) for name in names}
    counts: Counter[tuple[str, bool]] = Counter()
    slowest, culprit = 0.0, b""
    for number in range(_LINES):
        name = names[number % len(names)]
        line = damaged(chance.choice(samples[name]), chance.choice(samples[name]), chance)
        began = time.process_time()
        found = decode(DECODERS[name], line, number, 1_763_805_600_000_000, _SOURCE)
        took = time.process_time() - began
        if took > slowest:
            slowest, culprit = took, line
        refused = isinstance(found, Rejection)
        counts[name, refused] += 1
        if isinstance(found, Rejection):
            assert isinstance(found.reason, Reason) and found.expected, line
            continue
        for record in found:
            event = record.event
            assert event.sensor and event.kind and event.record_id, line
            assert EARLIEST <= event.time <= LATEST, line
            assert 0 <= event.client_port <= 65_535 and 0 <= event.server_port <= 65_535, line
    assert slowest < _LONGEST, culprit[:500]
    # Every decoder met lines of both sorts, or this would prove little.
    assert counts.keys() == {(name, refused) for name in names for refused in (True, False)}
