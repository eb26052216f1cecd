"""Guessing passwords is slow: each try costs a coin, a success gives its coins back, and coins grow slowly.

Three purses pay for a try: one for the name at that address, one for the address, one for the name. The last is large,
so that a stranger elsewhere cannot lock out whoever owns the name for long. Memory is bounded: the purses that were
not used for longest are forgotten, and a full one is the same as none.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from query_api.errors import TooManyRequestsError

#: Purses of each kind at most.
ENTRIES = 10_000


class Allowance(msgspec.Struct, frozen=True):
    """``coins`` in a full purse, and the seconds in which one grows."""

    coins: int
    seconds: float


PAIR = Allowance(5, 30.0)
ADDRESS = Allowance(30, 5.0)
NAME = Allowance(100, 1.0)


class _Purse(msgspec.Struct):
    coins: float
    at: float


class _Purses:
    def __init__(self, allowance: Allowance, clock: Callable[[], float]) -> None:
        self._allowance = allowance
        self._clock = clock
        self._purses: OrderedDict[str, _Purse] = OrderedDict()

    def wait(self, key: str) -> float:
        """Seconds until a coin is there; 0 when one is."""
        purse = self._purses.get(key)
        if purse is None:
            return 0.0
        self._grow(purse)
        return max(0.0, (1 - purse.coins) * self._allowance.seconds)

    def pay(self, key: str) -> None:
        now = self._clock()
        purse = self._purses.setdefault(key, _Purse(self._allowance.coins, now))
        self._purses.move_to_end(key)
        self._grow(purse)
        purse.coins -= 1
        if len(self._purses) > ENTRIES:
            self._purses.popitem(last=False)

    def give_back(self, key: str) -> None:
        purse = self._purses.get(key)
        if purse is not None:
            purse.coins = min(self._allowance.coins, purse.coins + 1)

    def _grow(self, purse: _Purse) -> None:
        now = self._clock()
        purse.coins = min(self._allowance.coins, purse.coins + (now - purse.at) / self._allowance.seconds)
        purse.at = now

    def __len__(self) -> int:
        return len(self._purses)


class Throttle:
    """``clock``: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._pairs = _Purses(PAIR, clock)
        self._addresses = _Purses(ADDRESS, clock)
        self._names = _Purses(NAME, clock)

    def attempt(self, name: str, address: str) -> None:
        """Pays for one try, before the password is looked at: tries at the same moment pay each.

        Raises TooManyRequestsError, which costs nothing.
        """
        keys = self._keys(name, address)
        wait = max(purses.wait(key) for purses, key in keys)
        if wait > 0:
            raise TooManyRequestsError("too many failed logins; try again later", retry_after=math.ceil(wait))
        for purses, key in keys:
            purses.pay(key)

    def succeeded(self, name: str, address: str) -> None:
        """The password was right: its try costs nothing."""
        for purses, key in self._keys(name, address):
            purses.give_back(key)

    def __len__(self) -> int:
        return len(self._pairs) + len(self._addresses) + len(self._names)

    def _keys(self, name: str, address: str) -> list[tuple[_Purses, str]]:
        # A name is at most as long as one that can exist, so that purses stay small.
        name, place = name[:65], _place(address)
        return [(self._pairs, f"{place} {name}"), (self._addresses, place), (self._names, name)]


def _place(address: str) -> str:
    """An IPv6 host has 2^64 addresses: its network is meant."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
