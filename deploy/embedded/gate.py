"""A gate before the embedded broker: closed, nothing that outsiders send reaches it, and nobody is told an error.

Kafka has no word for "wait a moment", and Tansu has none for "no": a producer that is not ours would go on while we
drain the log that is about to end, and what it was told is stored would be lost. So its bytes are kept from the
broker. Linux lets a parent take a duplicate of a child's sockets (pidfd_getfd) and attach a filter to them; the filter
of the listening socket is inherited by the connections it accepts. Ours drops every packet with content: connections
stand, the sender's kernel sends again and again, and goes on when the filter is gone; or is told that the connection
has ended when the broker has, and the producer sends to the next broker what was never acknowledged.

Connections of our own processes are let through as soon as they are seen, at most ``TEND_SECONDS`` and a
retransmission (0.2 s) late. Where the kernel or a container refuses this, ``close`` says so.
"""

import asyncio
import ctypes
import errno
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEND_SECONDS = 0.02

_PIDFD_GETFD = 438
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27


_libc = ctypes.CDLL(None, use_errno=True)


class GateError(OSError):
    """The broker's sockets cannot be had; the text says why."""


def _program() -> bytes:
    """Classic BPF over a TCP segment: drop it when it is longer than its header."""
    instructions = (
        (0x30, 0, 0, 12),  # A = byte 12: the header's length in words, in the upper four bits
        (0x74, 0, 0, 4),  # A >>= 4
        (0x64, 0, 0, 2),  # A <<= 2: in bytes
        (0x07, 0, 0, 0),  # X = A
        (0x80, 0, 0, 0),  # A = length of the segment
        (0x1D, 0, 1, 0),  # if A == X go on, else skip one
        (0x06, 0, 0, 0xFFFFFFFF),  # take it all
        (0x06, 0, 0, 0),  # drop it
    )
    return b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)


class Gate:
    """The sockets of one broker process. ``ours`` gives the pids whose connections always pass."""

    def __init__(self, pid: int, port: int, ours: Callable[[], Collection[int]]) -> None:
        self._pid = pid
        self._port = port
        self._ours = ours
        self._closed = False
        self._seen: set[str] = set()
        self._tending: asyncio.Task[None] | None = None

    def listens(self) -> bool:
        """Whether the broker has come so far. Raises GateError where its sockets cannot be had."""
        try:
            with _descriptor(self._pid) as pidfd:
                return any(_is_listening(found) for _, found in self._own(pidfd, _sockets(self._pid)))
        except (FileNotFoundError, ProcessLookupError):
            if not Path("/proc/self/fd").exists():
                raise GateError(errno.ENOSYS, "this system has no /proc") from None
            return False
        except OSError as error:
            raise GateError(error.errno, error.strerror) from error

    def close(self) -> None:
        """From here on only connections of ours pass. Raises GateError where that cannot be done."""
        try:
            self._look()
            self._look()
        except OSError as error:
            self._closed = False
            with suppress(OSError):
                self._set_all(attached=False)
            raise GateError(error.errno, error.strerror) from error
        self._closed = True
        self._tending = asyncio.create_task(self._tend())

    def open(self) -> None:
        """Let everybody through; what was kept back arrives with the sender's next attempt."""
        self.leave()
        with suppress(OSError):
            # A broker that has ended needs no opening.
            self._set_all(attached=False)

    def leave(self) -> None:
        """Stop looking after it: the broker ends, closed as it is."""
        self._closed = False
        if self._tending is not None:
            self._tending.cancel()
            self._tending = None

    @property
    def closed(self) -> bool:
        return self._closed

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_SECONDS)
            with suppress(OSError):
                # It has ended; whoever watches it will say so.
                self._look()

    def _look(self) -> None:
        """The listening socket first: what it accepts from then on comes with the filter."""
        sockets = list(_sockets(self._pid))
        fresh = [each for each in sockets if each[0] not in self._seen]
        if not fresh:
            return
        self._seen |= {inode for inode, _ in fresh}
        self._seen &= {inode for inode, _ in sockets}
        with _descriptor(self._pid) as pidfd:
            for _, found in self._own(pidfd, fresh):
                if _is_listening(found):
                    _set(found, attached=True)
            mine = _ports_of(self._ours())
            # Those that it accepted meanwhile are fresh again the next time.
            for _, found in self._own(pidfd, fresh):
                if not _is_listening(found):
                    _set(found, attached=_peer_port(found) not in mine)

    def _set_all(self, *, attached: bool) -> None:
        with _descriptor(self._pid) as pidfd:
            for _, found in self._own(pidfd, _sockets(self._pid)):
                _set(found, attached=attached)
        self._seen.clear()

    def _own(self, pidfd: int, sockets: Iterable[tuple[str, int]]) -> Iterator[tuple[str, socket.socket]]:
        """Those on the broker's port, open while they are looked at."""
        for inode, number in sockets:
            with _unless_closed(), _duplicate(pidfd, number) as found:
                if found.family == socket.AF_INET and found.getsockname()[1] == self._port:
                    yield inode, found


def _is_listening(found: socket.socket) -> bool:
    return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _set(found: socket.socket, *, attached: bool) -> None:
    if not attached:
        with suppress(FileNotFoundError):
            found.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        return
    code = ctypes.create_string_buffer(_program())
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(code))
    found.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _peer_port(found: socket.socket) -> int:
    try:
        return int(found.getpeername()[1])
    except OSError:
        return 0


@contextmanager
def _unless_closed() -> Iterator[None]:
    """The broker may close a connection while we look at it; everything else is an error."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EBADF:
            raise


@contextmanager
def _descriptor(pid: int) -> Iterator[int]:
    if not hasattr(os, "pidfd_open"):
        raise OSError(errno.ENOSYS, "this system has no pidfd_open")
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)


@contextmanager
def _duplicate(pidfd: int, number: int) -> Iterator[socket.socket]:
    """The process's socket as one of ours; closing it closes only ours."""
    copy = _libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
    if copy < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    with socket.socket(fileno=copy) as found:
        yield found


def _sockets(pid: int) -> Iterator[tuple[str, int]]:
    """Inode and number of each socket that a process has open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            name = str(link.readlink())
            if name.startswith("socket:["):
                yield name[8:-1], int(link.name)


def _ports_of(pids: Collection[int]) -> set[int]:
    """Local ports of the sockets (IPv4) of these processes."""
    ports = set()
    for pid in pids:
        # A process may end while we look at it.
        with suppress(FileNotFoundError, ProcessLookupError), _descriptor(pid) as pidfd:
            for _, number in _sockets(pid):
                with _unless_closed(), _duplicate(pidfd, number) as found:
                    if found.family == socket.AF_INET:
                        ports.add(found.getsockname()[1])
    return ports
