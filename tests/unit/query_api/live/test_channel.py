"""What a slow client loses, and that it is told."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.live.channel import BATCH_BYTES, BATCH_RECORDS, Channel, Subscription, Window
from query_api.live.items import Item
from query_api.live.matching import Wish
from schemas.records import Event

_ALL = Wish()


def item(number: int, sensor: str = "a", size: int = 100) -> Item:
    return Item(Event(sensor=sensor, time=number), size)


def numbers(items: list[Item]) -> list[int]:
    return [each.record.time for each in items if isinstance(each.record, Event)]


def fill(channel: Channel, numbers: range, sensor: str = "a") -> None:
    for number in numbers:
        channel.offer(item(number, sensor))


def subscribed(channel: Channel) -> Subscription:
    found = Subscription(channel, asyncio.Event())
    channel.subscriptions.add(found)
    return found


def taken(subscription: Subscription) -> tuple[list[int], int]:
    """Everything that waits, and how many were lost."""
    found: list[int] = []
    lost = 0
    while batch := subscription.take():
        found += numbers(batch.items)
        lost += batch.lost
    return found, lost


def test_a_subscription_gets_what_comes_from_now_on() -> None:
    channel = Channel(_ALL)
    fill(channel, range(3))
    late = subscribed(channel)
    fill(channel, range(3, 6))
    assert taken(late) == ([3, 4, 5], 0)
    assert not late.take()


def test_a_slow_client_loses_the_oldest_and_knows_how_many() -> None:
    channel = Channel(_ALL, kept=10)
    slow, quick = subscribed(channel), subscribed(channel)
    fill(channel, range(8))
    assert taken(quick) == (list(range(8)), 0)
    fill(channel, range(8, 25))
    assert taken(slow) == (list(range(15, 25)), 15)
    assert taken(quick) == (list(range(15, 25)), 7)


def test_only_what_fits_is_counted_as_lost() -> None:
    channel = Channel(Wish(sensors=("^a$",)), kept=2)
    client = subscribed(channel)
    fill(channel, range(100), sensor="b")
    fill(channel, range(5), sensor="a")
    assert taken(client) == ([3, 4], 3)


def test_a_batch_is_bounded_in_records_and_bytes() -> None:
    channel = Channel(_ALL)
    client = subscribed(channel)
    fill(channel, range(BATCH_RECORDS + 1))
    assert len(client.take().items) == BATCH_RECORDS
    assert len(client.take().items) == 1
    for number in range(3):
        channel.offer(item(number, size=BATCH_BYTES))
    assert [len(client.take().items) for _ in range(4)] == [1, 1, 1, 0]


def test_what_leaves_the_window_is_lost_wherever_it_still_waits() -> None:
    window, channel = Window(1000), Channel(_ALL)
    client = subscribed(channel)
    for number in range(5):
        each = item(number, size=300)
        channel.offer(each)
        window.add(each)
    assert taken(client) == ([2, 3, 4], 2)


def test_messages_that_the_reader_left_out_are_told_to_everybody() -> None:
    channel = Channel(_ALL)
    before = subscribed(channel)
    channel.skip(1234)
    after = subscribed(channel)
    fill(channel, range(1))
    assert taken(before) == ([0], 1234)
    assert taken(after) == ([0], 0)


def test_what_a_client_leaves_behind_it_may_be_told_of_elsewhere() -> None:
    channel = Channel(_ALL, kept=10)
    client = subscribed(channel)
    fill(channel, range(15))
    channel.skip(3)
    assert client.waiting == 18
    other = Subscription(Channel(Wish(codes=(1,))), asyncio.Event(), lost=client.waiting)
    assert taken(other) == ([], 18)
    assert other.waiting == 0
    assert taken(client) == (list(range(5, 15)), 8)
    assert client.waiting == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=30), st.integers(1, 20), st.integers(300, 3000))
def test_delivered_and_lost_are_all_there_were_in_order(steps: list[tuple[int, bool]], kept: int, bytes_: int) -> None:
    channel, window = Channel(_ALL, kept=kept), Window(bytes_)
    client = subscribed(channel)
    published = 0
    delivered: list[int] = []
    lost = 0
    for count, reads in [*steps, (0, True)]:
        for _ in range(count):
            each = item(published, size=100)
            channel.offer(each)
            window.add(each)
            published += 1
        if reads:
            some, missed = taken(client)
            delivered += some
            lost += missed
    assert len(delivered) + lost == published
    assert delivered == sorted(set(delivered))


@pytest.mark.parametrize(("clients", "made"), [(1, 2), (2, 1)])
def test_a_frame_is_made_once_for_all_at_the_same_place(clients: int, made: int) -> None:
    channel = Channel(_ALL)
    for _ in range(clients):
        subscribed(channel)
    count = 0

    def make() -> bytes:
        nonlocal count
        count += 1
        return b"frame"

    frame: Callable[[], bytes] = make
    assert [channel.frame("here", frame) for _ in range(2)] == [b"frame"] * 2
    assert count == made
