"""Sizes as people type them."""

import re

from deploy.addresses import AddressError

_UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def parse_size(text: str, option: str) -> int:
    """Bytes: ``512MiB``, ``1.5 GiB``, ``1073741824``. Raises AddressError, an error of usage."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([A-Za-z]*)", text.strip(), re.ASCII)
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise AddressError(
            f"{option}: {text!r} is no size; a number of bytes, or one with KiB, MiB or GiB was expected"
        )
    return int(float(match[1]) * unit)
