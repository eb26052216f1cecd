"""Becomes another program that ends when its supervisor ends, by SIGKILL too.

Run as ``python -I -S tether.py SUPERVISOR_PID PROGRAM ARGUMENT...``. It asks Linux for SIGKILL at the parent's death
(PR_SET_PDEATHSIG, kept over exec) and then becomes the program. A program of its own instead of ``preexec_fn``:
Python code between fork and exec may deadlock when the supervisor has threads. Only the standard library is imported.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    supervisor, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The supervisor may have died before the request: then no signal comes, but the parent is another one.
    if os.getppid() != supervisor:
        os._exit(1)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
