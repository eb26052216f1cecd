"""What a signal means that comes again."""

from producers.stop_signals import SAME_WISH, StopSignals


def test_a_signal_within_a_second_is_the_same_wish_and_a_later_one_ends_at_once() -> None:
    said: list[str] = []
    now = [100.0]
    signals = StopSignals(lambda: said.append("stop"), lambda: said.append("at once"), clock=lambda: now[0])
    for later in (0.0, 0.0, SAME_WISH - 0.01):
        now[0] = 100.0 + later
        signals()
    assert said == ["stop"]
    now[0] = 100.0 + SAME_WISH
    signals()
    assert said == ["stop", "at once"]
