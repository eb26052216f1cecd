"""Devices of a network: most come in the morning and go in the evening, each at an hour of its own, not every day."""

from random import Random

import msgspec

from producers.load.mix import Mix

DAY = 86_400_000_000
_HOUR = 3_600_000_000
#: Share of days on which a device comes.
_COMES = 0.85


class Stay(msgspec.Struct, gc=False):
    """One device, from its coming to its going, microseconds."""

    sensor: str
    mac: str
    ip: str
    began: int
    ended: int


class _Device(msgspec.Struct, frozen=True):
    mac: str
    ip: str
    #: When it comes, and for how long it stays, microseconds.
    comes: float
    stays: float


class Devices:
    """Draws from ``random`` alone; call ``day`` for one day after the other."""

    def __init__(self, mix: Mix, random: Random) -> None:
        self._random = random
        self._sensor = f"{mix.prefix}scan"
        count = mix.devices if mix.format == "sojourn" else 0
        self._devices = [_device(number, random) for number in range(count)]

    def day(self, midnight: int) -> list[Stay]:
        """Who comes on the day that begins at ``midnight``; some go on the next."""
        draw, gauss = self._random.random, self._random.gauss
        stays = []
        for device in self._devices:
            if draw() >= _COMES:
                continue
            began = midnight + max(0, int(device.comes + gauss(0, _HOUR / 3)))
            length = max(_HOUR / 6, device.stays + gauss(0, _HOUR / 2))
            stays.append(Stay(self._sensor, device.mac, device.ip, began, began + int(length)))
        return stays


def _device(number: int, random: Random) -> _Device:
    mac = f"02:00:5e:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    comes = min(max(random.gauss(8.5, 1.5), 0.0), 20.0) * _HOUR
    return _Device(mac, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", comes, random.gauss(9, 1.5) * _HOUR)
