from deploy.backoff import Backoff


def test_waits_double_up_to_the_most() -> None:
    backoff = Backoff(first=1, most=5, calm=60)
    assert [backoff.after(0) for _ in range(5)] == [1, 2, 4, 5, 5]


def test_a_long_life_begins_anew() -> None:
    backoff = Backoff(first=1, most=5, calm=60)
    for _ in range(4):
        backoff.after(0)
    assert backoff.after(60) == 1
    assert backoff.after(0) == 2
