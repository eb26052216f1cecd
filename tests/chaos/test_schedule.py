"""The schedule of the oracle: a seed replays it, and every run has everything."""

from collections import Counter

from tests.chaos.schedule import BROKER, Verb, schedule


def test_a_seed_replays_its_schedule_and_another_seed_is_another_schedule() -> None:
    assert schedule(7, 90, 6, True) == schedule(7, 90, 6, True)
    assert schedule(7, 90, 6, True) != schedule(8, 90, 6, True)


def test_a_short_run_has_nearly_every_deed_and_no_run_has_one_twice_before_all_were_done() -> None:
    for seed in range(50):
        deeds = schedule(seed, 75, 6, True)
        assert len(deeds) >= 15
        assert max(Counter((deed.verb, deed.victim) for deed in deeds[:22]).values()) == 1
        assert [deed.at for deed in deeds] == sorted(deed.at for deed in deeds)
    whole = {(deed.verb, deed.victim) for deed in schedule(1, 600, 6, True)}
    assert len(whole) == 22
    assert {verb for verb, _ in whole} == set(Verb)


def test_a_broker_that_forgets_is_frozen_but_never_ended() -> None:
    done = {deed.verb for deed in schedule(1, 600, 3, False) if deed.victim == BROKER}
    assert done == {Verb.FREEZE}


def test_a_zombie_sleeps_for_three_session_timeouts() -> None:
    frozen = [deed for deed in schedule(1, 600, 6, True) if deed.verb is Verb.FREEZE and deed.lasts >= 18]
    assert {deed.victim for deed in frozen} == {"worker-1", "sink-1"}
