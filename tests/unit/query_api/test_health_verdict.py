"""Readiness: what makes the whole ready, starting or degraded."""

from query_api.health import Health
from schemas.health import RECYCLING, Heartbeat, PartitionHealth
from schemas.times import SECOND

NOW = 1_800_000_000 * SECOND


def beat(
    component: str, at: float, position: int = 5, highwater: int = 5, generation: int = 1, instance: str = "a"
) -> Heartbeat:
    return Heartbeat(
        component=component,
        instance=instance,
        time=NOW + int(at * SECOND),
        generation=generation,
        partitions=[PartitionHealth("t", 0, position, highwater)] if generation >= 0 else [],
    )


def health(*beats: Heartbeat, kafka: bool = True) -> Health:
    found = Health()
    for one in beats:
        found.take(one)
    found.kafka_answered = NOW if kafka else 0
    return found


def test_all_four_together_are_ready() -> None:
    verdict = health(beat("worker", -1), beat("sink", -1)).verdict(NOW, clickhouse=True)
    assert verdict.status == "ready"
    assert set(verdict.checks) == {"kafka", "clickhouse", "worker", "sink"}
    assert all(check.ok and check.message for check in verdict.checks.values())


def test_before_it_was_ready_it_is_starting_and_afterwards_degraded() -> None:
    found = health(beat("worker", 0))
    assert found.verdict(NOW, clickhouse=True).status == "starting"
    found.take(beat("sink", 0))
    assert found.verdict(NOW, clickhouse=True).status == "ready"
    assert found.verdict(NOW, clickhouse=False).status == "degraded"


def test_each_part_that_is_missing_is_named() -> None:
    verdict = health(beat("sink", 0), kafka=False).verdict(NOW, clickhouse=False)
    assert {name for name, check in verdict.checks.items() if not check.ok} == {"kafka", "clickhouse", "worker"}


def test_a_heartbeat_of_five_seconds_is_too_old() -> None:
    found = health(beat("worker", -5), beat("sink", 0))
    assert "5 s old" in found.verdict(NOW, clickhouse=True).checks["worker"].message


def test_the_last_word_of_a_worker_that_ended_is_passed_on() -> None:
    ended = beat("worker", -9, generation=-1)
    ended.message = "ended: too many bad records"
    message = health(ended, beat("sink", 0)).verdict(NOW, clickhouse=True).checks["worker"].message
    assert message == "the last heartbeat of the worker is 9 s old, it said: ended: too many bad records"


def test_a_worker_without_partitions_is_not_ready() -> None:
    verdict = health(beat("worker", 0, generation=-1), beat("sink", 0)).verdict(NOW, clickhouse=True)
    assert "no partitions" in verdict.checks["worker"].message


def test_a_second_worker_without_partitions_does_no_harm() -> None:
    found = health(beat("worker", 0), beat("worker", 0, generation=-1, instance="b"), beat("sink", 0))
    assert found.verdict(NOW, clickhouse=True).status == "ready"


def test_lag_is_fine_while_the_position_moves() -> None:
    found = health(beat("worker", -9, 5, 100), beat("worker", -1, 50, 100), beat("sink", 0))
    assert found.verdict(NOW, clickhouse=True).checks["worker"].ok


def test_lag_without_movement_is_not_ready() -> None:
    found = health(*(beat("worker", at, 5, 100) for at in (-7, -3, -1)), beat("sink", 0))
    check = found.verdict(NOW, clickhouse=True).checks["worker"]
    assert not check.ok
    assert "95 records behind" in check.message


def test_a_broker_that_starts_anew_refuses_writes_until_it_says_otherwise_or_nothing() -> None:
    word = beat("broker", -1)
    word.message = RECYCLING
    found = health(beat("worker", 0), beat("sink", 0), word)
    assert found.refusal(NOW) == RECYCLING
    assert found.refusal(NOW + 6 * SECOND) == ""
    found.take(beat("broker", 0))
    assert found.refusal(NOW) == ""
    assert found.verdict(NOW, clickhouse=True).status == "ready"


def test_instances_that_are_long_silent_are_forgotten() -> None:
    found = health(beat("worker", -700, 5, 100, instance="old"), beat("worker", 0), beat("sink", 0))
    found.forget_before(NOW - 600 * SECOND)
    assert found.verdict(NOW, clickhouse=True).status == "ready"
