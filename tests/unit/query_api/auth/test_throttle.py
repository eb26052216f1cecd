"""Guessing is slow, memory is bounded, and the owner of a name can still log in."""

import pytest

from query_api.auth.throttle import ADDRESS, ENTRIES, NAME, PAIR, Throttle
from query_api.errors import TooManyRequestsError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def failures(throttle: Throttle, names: list[str], addresses: list[str]) -> int:
    """How many of these tries were looked at."""
    looked = 0
    for name, address in zip(names, addresses, strict=True):
        try:
            throttle.attempt(name, address)
        except TooManyRequestsError:
            continue
        looked += 1
    return looked


def test_after_some_failures_a_name_waits_at_its_address() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert failures(throttle, ["ann"] * 50, ["192.0.2.1"] * 50) == PAIR.coins
    with pytest.raises(TooManyRequestsError) as refused:
        throttle.attempt("ann", "192.0.2.1")
    wait = int(refused.value.headers["Retry-After"])
    assert 0 < wait <= PAIR.seconds
    throttle.attempt("ann", "192.0.2.2")
    clock.now += wait
    throttle.attempt("ann", "192.0.2.1")


def test_a_success_costs_nothing() -> None:
    throttle = Throttle(Clock())
    for _ in range(10 * NAME.coins):
        throttle.attempt("ann", "192.0.2.1")
        throttle.succeeded("ann", "192.0.2.1")


def test_many_names_from_one_address_are_one_guesser() -> None:
    throttle = Throttle(Clock())
    names = [f"user{n}" for n in range(1000)]
    assert failures(throttle, names, ["192.0.2.1"] * 1000) == ADDRESS.coins
    assert failures(throttle, names, ["2001:db8::1", "2001:db8::2"] * 500) == ADDRESS.coins


def test_many_addresses_cannot_guess_one_name_for_ever_nor_lock_it_for_long() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    addresses = [f"192.0.{n // 250}.{n % 250}" for n in range(1000)]
    assert failures(throttle, ["ann"] * 1000, addresses) == NAME.coins
    clock.now += NAME.seconds
    throttle.attempt("ann", "198.51.100.1")


def test_memory_is_bounded() -> None:
    throttle = Throttle(Clock())
    for n in range(2 * ENTRIES):
        throttle.attempt(str(n) + "x" * 10_000, f"2001:db8:{n % 65536:x}:{n // 65536:x}::1")
    assert len(throttle) <= 3 * ENTRIES
