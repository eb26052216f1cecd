"""IP addresses as they are asked for: IPv6 has several spellings, and what is stored is the sensor's."""

import ipaddress


def spellings(text: str) -> tuple[str, ...]:
    """The text, and where it is an IPv6 address the ways in which programs write that: with ``::``, with all groups,
    with all zeros, a mapped IPv4 address with dots; each in lower and in upper case."""
    address, percent, zone = text.partition("%")
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return (text,)
    groups = [group.lstrip("0") or "0" for group in found.exploded.split(":")]
    ways = [found.compressed, ":".join(groups), found.exploded]
    if found.ipv4_mapped is not None:
        # Which of the two ``compressed`` is depends on the version of Python.
        ways += [f"::ffff:{found.ipv4_mapped}", f"::ffff:{groups[6]}:{groups[7]}"]
    written = [cased + percent + zone for way in ways for cased in (way, way.upper())]
    return tuple(dict.fromkeys([text, *written]))
