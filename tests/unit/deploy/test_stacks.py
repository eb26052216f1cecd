"""What SIGUSR1 writes of a process that is alive and does nothing."""

import subprocess
import sys

_CODE = """
import asyncio, os, signal, threading
from deploy.stacks import write_stacks_when_asked

async def that_never_comes(): await asyncio.Event().wait()
async def main():
    asyncio.create_task(that_never_comes(), name="somebody")
    await asyncio.sleep(0.1)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.sleep(0)

def elsewhere(ready):
    async def other():
        asyncio.create_task(that_never_comes(), name="somebody in a thread")
        await asyncio.sleep(0.1)
        ready.set()
        await asyncio.sleep(60)
    asyncio.run(other())

write_stacks_when_asked()
ready = threading.Event()
threading.Thread(target=elsewhere, args=(ready,), name="consumer", daemon=True).start()
ready.wait()
asyncio.run(main())
print("went on")
"""


def test_every_thread_and_every_task_of_every_loop_says_where_it_stands() -> None:
    found = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True, timeout=60)
    for words in (
        "thread MainThread:",
        "thread consumer:",
        "task somebody:",
        "task somebody in a thread:",
        "<string>:5 that_never_comes",
        "Event.wait",
    ):
        assert words in found.stderr
    assert found.stdout == "went on\n"
