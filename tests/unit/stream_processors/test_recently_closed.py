"""What is remembered of sessions that have ended: the latest, each once."""

from stream_processors.machine.recently_closed import RecentlyClosed


def test_the_latest_are_remembered_and_the_oldest_forgotten() -> None:
    closed = RecentlyClosed(10)
    for number in range(100):
        closed.keep(b"%d" % number, b"version")

    remembered = [number for number in range(100) if b"%d" % number in closed]

    assert 5 <= len(remembered) <= 10
    assert remembered == list(range(100 - len(remembered), 100))


def test_what_is_taken_is_forgotten() -> None:
    closed = RecentlyClosed(4)
    for number in range(3):
        closed.keep(b"same", b"%d" % number)
        closed.keep(b"other %d" % number, b"")

    assert closed.take(b"same") == b"2"
    assert b"same" not in closed
