"""The names that rotations give to a log."""

import os
import re
from pathlib import Path

#: After the name: ``.1``, ``-20261121``, ``.2026-11-21``, ``.old``; and what packs it.
_SUFFIX = r"[.-](?:[0-9][0-9.:_T-]*|old)"
_PACKED = r"(?:\.gz|\.zst)?"


def rotated(path: str) -> list[tuple[Path, os.stat_result]]:
    """What stands beside the file under a name of its rotations, the one written longest ago first.

    ``cowrie.json`` may become ``cowrie.json.1``, ``cowrie.json.2026-11-21``, ``cowrie-20261121.json.gz``.
    """
    file = Path(path)
    names = re.compile(
        rf"{re.escape(file.name)}{_SUFFIX}{_PACKED}|{re.escape(file.stem)}{_SUFFIX}{re.escape(file.suffix)}{_PACKED}"
    )
    found = []
    try:
        beside = [each for each in file.parent.iterdir() if names.fullmatch(each.name)]
    except FileNotFoundError:
        return []
    for each in beside:
        try:
            found.append((each, each.stat()))
        except FileNotFoundError:
            # It was renamed or deleted meanwhile.
            continue
    return sorted(found, key=lambda item: item[1].st_mtime_ns)
