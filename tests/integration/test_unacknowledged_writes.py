"""Changes by an API while the broker stands still: refused in time, and not made behind the client's back."""

import os
import signal
from pathlib import Path

import msgspec
import pytest

from producers.writes import Write
from query_api.errors import UnavailableError
from query_api.health import Health
from query_api.writes import Writes
from schemas.settings import Settings
from schemas.topics import BACKUPS
from tests.stack import Stack
from tests.workers import messages, until

pytestmark = pytest.mark.integration


def broker_of(settings: Settings) -> int:
    """The process of the embedded broker: the one whose command line has its address."""
    address = settings.kafka.bootstrap.encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"tansu") and any(address in word for word in words):
                return int(folder.name)
    raise AssertionError("the broker has no process")


def write(number: int) -> Write:
    return Write(b"key", msgspec.json.encode(number), BACKUPS)


async def test_what_waits_for_a_broker_that_stands_still_is_refused_and_never_sent(own_stack: Stack) -> None:
    writes = Writes(own_stack.settings.kafka, Health(), 2.0)
    await writes.publish([write(1)])
    broker = broker_of(own_stack.settings)
    os.kill(broker, signal.SIGSTOP)
    try:
        for number in (2, 3):
            with pytest.raises(UnavailableError, match="Kafka did not acknowledge") as refused:
                await writes.publish([write(number)])
            assert refused.value.headers == {"Retry-After": "2"}
    finally:
        os.kill(broker, signal.SIGCONT)

    async def is_back() -> bool:
        try:
            await writes.publish([write(4)])
        except UnavailableError:
            return False
        return True

    await until(is_back, 60, lambda: "the broker does not come back")
    await writes.close()
    sent = {msgspec.json.decode(message.value or b"") for message in await messages(own_stack.settings, BACKUPS)}
    # The second was on its way when the broker stopped: only that one may have arrived all the same.
    assert {1, 4} <= sent <= {1, 2, 4}
