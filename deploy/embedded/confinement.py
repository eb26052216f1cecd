"""Which files the embedded ClickHouse may touch: its own folder, and what it needs to run.

ClickHouse's function ``file()`` reads any file for any user who may SELECT, when it is started from the wheel; no grant
and no setting closes it. So the kernel does (Landlock, Linux 5.19 or newer): the process gives up all other files
before the extension is loaded. A process so confined cannot look into other processes either.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE, _READ, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
#: Everything the first version knew: also making and removing files, folders, links, sockets and devices.
_ALL_OF_FIRST = (1 << 13) - 1
#: Renaming between folders, which dropping a table does; before version 2 it cannot be allowed.
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_FILE_RIGHTS = _EXECUTE | _WRITE | _READ | _TRUNCATE

#: Programs, libraries, time zones, the processor and the limits of the container.
_READABLE = ("/usr", "/lib", "/lib64", "/sys", "/etc/localtime", "/etc/timezone", "/etc/hosts", "/etc/ld.so.cache")
_PROC = ("self", "meminfo", "cpuinfo", "stat", "loadavg", "uptime", "vmstat", "filesystems", "sys")
_DEVICES = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/zero")


def confine(own: Iterable[Path]) -> bool:
    """Give up all files but those below ``own`` and what runs this process. For good, for all threads to come.

    False, and nothing has changed, where the kernel cannot do it.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 2:
        return False
    everything = _ALL_OF_FIRST | _REFER | (_TRUNCATE if version >= 3 else 0)
    attribute = struct.pack("=Q", everything)
    ruleset = libc.syscall(_CREATE_RULESET, attribute, len(attribute), 0)
    if ruleset < 0:
        return False
    reading = _EXECUTE | _READ | _READ_DIR
    code = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    for path in [*_READABLE, *code, *(f"/proc/{name}" for name in _PROC)]:
        _allow(libc, ruleset, Path(path), reading)
    for path in _DEVICES:
        _allow(libc, ruleset, Path(path), _READ | _WRITE)
    for folder in own:
        _allow(libc, ruleset, folder, everything)
    refused = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return not refused


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, place)
        if libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), f"{path} cannot be allowed to the embedded ClickHouse")
    finally:
        os.close(place)
