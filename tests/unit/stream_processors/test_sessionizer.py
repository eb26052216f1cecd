"""Rules of session-semantics, one test a row."""

from itertools import permutations

import msgspec
import pytest

from schemas.records import Action, Connection, DurationQuality, EndReason, State, Tick, session_key
from schemas.settings import Sessions
from schemas.times import DAY, HOUR, MINUTE, SECOND
from tests.unit.stream_processors.machine import Machine, activity, at, connect, disconnect


def test_connect_then_disconnect_is_an_exact_session() -> None:
    session = Machine().feed(connect(at(10)), disconnect(at(12))).session("a")
    assert (session.started_at, session.ended_at, session.duration) == (at(10), at(12), 7200.0)
    assert (session.state, session.end_reason) == (State.CLOSED, EndReason.DISCONNECT)
    assert session.duration_quality is DurationQuality.EXACT
    assert (session.client_ip, session.client_port, session.protocol) == ("203.0.113.7", 4022, "ssh")


def test_a_connect_alone_is_visible_at_once_and_open() -> None:
    session = Machine().feed(connect(at(10))).session("a")
    assert (session.state, session.ended_at, session.duration) == (State.OPEN, None, None)


def test_the_duration_is_the_difference_of_event_times() -> None:
    machine = Machine()
    machine.feed(connect(at(10)))
    machine.now += 5 * HOUR
    assert machine.feed(disconnect(at(10) + 1_051_123)).session("a").duration == 1.051123


def test_silence_beyond_the_idle_limit_closes_at_the_last_activity() -> None:
    machine = Machine().feed(connect(at(10)), activity(at(10.5)))
    machine.reach(at(11.5) + 299 * SECOND)
    assert machine.session("a").state is State.OPEN
    session = machine.reach(at(11.5) + 301 * SECOND).session("a")
    assert (session.end_reason, session.ended_at) == (EndReason.IDLE_TIMEOUT, at(10.5))
    assert (session.duration, session.duration_quality) == (1800.0, DurationQuality.LOWER_BOUND)


def test_the_idle_limit_depends_on_the_protocol() -> None:
    machine = Machine().feed(
        connect(at(10), "u", protocol="udp"), connect(at(10), "t", protocol="tcp"), connect(at(10), "s", protocol="ssh")
    )
    machine.reach(at(10) + 60 * SECOND + 301 * SECOND)
    assert [one.session_id for one in machine.sessions if one.state is State.CLOSED] == ["u"]
    machine.reach(at(10) + 600 * SECOND + SECOND)
    assert [one.session_id for one in machine.sessions if one.state is State.CLOSED] == ["t", "u"]


def test_another_sensors_clock_closes_nothing() -> None:
    machine = Machine().feed(connect(at(10)))
    assert machine.reach(at(10) + 365 * DAY, sensor="other").session("a").state is State.OPEN


def test_a_disconnect_after_an_idle_timeout_corrects_the_same_session() -> None:
    machine = Machine().feed(connect(at(10))).reach(at(12))
    assert machine.session("a").end_reason is EndReason.IDLE_TIMEOUT
    session = machine.feed(disconnect(at(12.5))).session("a")
    assert (session.end_reason, session.duration) == (EndReason.DISCONNECT, 9000.0)
    assert machine.machine.counters.values["session_corrected_total"] == 1


def test_activity_after_an_idle_timeout_reopens_the_session() -> None:
    machine = Machine().feed(connect(at(10))).reach(at(12)).feed(activity(at(12)))
    session = machine.session("a")
    assert (session.state, session.last_activity_at, session.ended_at) == (State.OPEN, at(12), None)
    assert machine.reach(at(13.1)).session("a").ended_at == at(12)


def test_a_disconnect_without_connect_waits_for_grace_then_is_an_orphan() -> None:
    machine = Machine().feed(disconnect(at(12)))
    assert machine.sessions == []
    session = machine.reach(at(12) + 301 * SECOND).session("a")
    assert (session.end_reason, session.started_at, session.ended_at) == (EndReason.ORPHAN, None, at(12))
    assert (session.duration, session.duration_quality) == (None, DurationQuality.UNKNOWN)


def test_a_disconnect_before_its_connect_is_paired_on_arrival() -> None:
    session = Machine().feed(disconnect(at(12)), connect(at(10))).session("a")
    assert (session.end_reason, session.duration, session.event_count) == (EndReason.DISCONNECT, 7200.0, 2)


def test_an_orphan_whose_connect_comes_late_becomes_exact() -> None:
    machine = Machine().feed(disconnect(at(12))).reach(at(13)).feed(connect(at(10)))
    session = machine.session("a")
    assert (session.end_reason, session.duration_quality) == (EndReason.DISCONNECT, DurationQuality.EXACT)


def test_a_duration_is_never_negative() -> None:
    session = Machine().feed(connect(at(12)), disconnect(at(10))).session("a")
    assert (session.duration, session.ended_at, session.flags) == (0.0, at(12), ["clock_skew"])


def test_the_same_record_again_changes_nothing() -> None:
    machine = Machine()
    first = connect(at(10), source="e/t/0", positions=[5], record_id="r")
    machine.feed(first)
    before = machine.session("a")
    machine.feed(first)
    assert machine.session("a") == before
    assert machine.machine.counters.values["connections_repeated_total"] == 1


def test_activity_is_counted_once_whatever_the_batches() -> None:
    machine = Machine().feed(connect(at(10), source="e/t/0", positions=[1]))
    machine.feed(activity(at(10.1), source="e/t/0", positions=[2, 3, 4], last_time=at(10.2)))
    machine.feed(activity(at(10.1), source="e/t/0", positions=[3, 4, 5, 6], last_time=at(10.3)))
    session = machine.session("a")
    assert (session.event_count, session.last_activity_at) == (6, at(10.3))


def test_activity_from_two_partitions_is_counted_apart() -> None:
    machine = Machine().feed(connect(at(10), source="e/t/0", positions=[100]))
    machine.feed(
        activity(at(10.1), source="e/t/1", positions=[7, 8]), activity(at(10.1), source="e/t/1", positions=[8])
    )
    assert machine.session("a").event_count == 3


def test_activity_opens_nothing_unless_its_format_says_so() -> None:
    machine = Machine().feed(activity(at(10), "quiet"), activity(at(10), "loud", opens=True))
    assert machine.machine.oldest_held == 0, "nothing of it is published: it must be read again after a crash"
    machine.reach(at(10.2))
    assert [one.session_id for one in machine.sessions] == ["loud"]
    assert machine.session("loud").started_at == at(10)
    assert machine.machine.oldest_held is None


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_where_any_event_opens_the_earliest_is_the_start_whatever_comes_first(order: tuple[int, ...]) -> None:
    records = [
        activity(at(10), opens=True, first_time=at(9.9)),
        activity(at(10.2), opens=True, first_time=at(10.2)),
        disconnect(at(10.5)),
    ]
    session = Machine().feed(*[records[number] for number in order]).reach(at(11)).session("a")
    assert (session.started_at, session.ended_at, session.event_count) == (at(9.9), at(10.5), 3)
    assert (session.end_reason, session.duration_quality) == (EndReason.DISCONNECT, DurationQuality.EXACT)


def test_activity_that_came_before_its_connect_counts_once_that_comes() -> None:
    session = Machine().feed(activity(at(10.1)), connect(at(10)), disconnect(at(11))).session("a")
    assert (session.event_count, session.started_at, session.duration) == (3, at(10), 3600.0)


def test_what_comes_after_an_exact_close_is_added_to_it() -> None:
    session = Machine().feed(connect(at(10)), disconnect(at(11)), activity(at(11.01))).session("a")
    assert (session.event_count, session.ended_at, session.end_reason) == (3, at(11), EndReason.DISCONNECT)


def test_two_connects_under_one_id_keep_the_earliest_start() -> None:
    machine = Machine().feed(connect(at(11)), connect(at(10)), disconnect(at(12)))
    assert [one.duration for one in machine.sessions] == [7200.0]


def test_a_complete_record_makes_its_session_in_one_step() -> None:
    machine = Machine().feed(
        Connection(
            action=Action.COMPLETE,
            sensor="s",
            time=at(12),
            started=at(10),
            ended=at(12),
            session_id="z",
            protocol="tcp",
        )
    )
    session = machine.session("z")
    assert (session.end_reason, session.duration, session.event_count) == (EndReason.COMPLETE, 7200.0, 1)


def test_complete_records_without_an_id_take_no_part_in_pairing() -> None:
    done = Connection(action=Action.COMPLETE, sensor="s", time=at(10.5), started=at(10.2), ended=at(10.5), mac="aa:bb")
    machine = Machine().feed(connect(at(10), mac="AA-BB"), done, disconnect(at(11), mac="aabb"))
    assert sorted(one.duration or 0 for one in machine.sessions) == [0.3 * 3600, 3600.0]


def test_a_restart_of_the_sensor_closes_what_it_had_open() -> None:
    machine = Machine().feed(
        connect(at(10)),
        connect(at(10), "b", sensor="other"),
        Connection(action=Action.SENSOR_START, sensor="s", time=at(11), boot_id="2"),
    )
    assert (machine.session("a").end_reason, machine.session("a").ended_at) == (EndReason.SENSOR_RESTART, at(10))
    assert machine.session("b").state is State.OPEN
    late = machine.feed(connect(at(10.5), "late")).session("late")
    assert late.end_reason is EndReason.SENSOR_RESTART
    assert machine.feed(disconnect(at(10.8))).session("a").end_reason is EndReason.DISCONNECT


def test_a_session_beyond_the_longest_duration_is_closed() -> None:
    machine = Machine().feed(connect(at(0)))
    for hour in range(1, 26):
        machine.feed(activity(at(hour))).reach(at(hour))
    assert machine.session("a").end_reason is EndReason.MAX_DURATION


def test_long_sessions_get_interim_versions_that_change_nothing_else() -> None:
    machine = Machine().feed(connect(at(10)))
    before = len(machine.versions)
    machine.reach(at(10.4)).reach(at(10.6)).reach(at(10.9))
    assert len(machine.versions) == before + 1
    assert machine.session("a").state is State.OPEN
    assert machine.versions[-1].revision > machine.versions[-2].revision


def test_beyond_the_limit_the_longest_idle_sessions_are_evicted() -> None:
    machine = Machine(Sessions(max_open=3)).feed(*[connect(at(10) + n, f"n{n}") for n in range(4)])
    assert machine.session("n0").end_reason is EndReason.EVICTED
    assert machine.machine.open_sessions == 3
    assert machine.feed(disconnect(at(11), "n0")).session("n0").end_reason is EndReason.DISCONNECT


def test_evidence_outranks_guesses_whatever_their_times() -> None:
    machine = Machine().feed(connect(at(10)), disconnect(at(10.1)))
    exact = machine.session("a").revision
    late = Machine().feed(connect(at(10))).reach(at(20)).session("a").revision
    assert exact > late


def test_a_revision_never_goes_back() -> None:
    machine = Machine().feed(connect(at(10))).reach(at(12)).feed(activity(at(11)), activity(at(12))).reach(at(14))
    machine.feed(disconnect(at(13)))
    revisions = [one.revision for one in machine.versions]
    assert revisions == sorted(set(revisions))


def test_an_import_of_last_year_beside_a_live_sensor_gives_its_sessions() -> None:
    machine = Machine().feed(connect(at(10), "live")).reach(at(10.01))
    year = 365 * DAY
    for n in range(3):
        machine.feed(connect(at(n) - year, f"old{n}"))
        machine.machine.tick(_tick(at(10.02 + n / 100)), machine.now + SECOND)
        machine.feed(disconnect(at(n + 0.5) - year, f"old{n}"))
    assert [one.duration for one in machine.sessions if one.session_id != "live"] == [1800.0] * 3
    assert machine.session("live").state is State.OPEN


def _tick(time: int):  # type: ignore[no-untyped-def]
    from schemas.records import Tick

    return Tick(source="e/t/0", caught_up=True, sensors={"s": time})


def test_a_successful_login_names_the_user_whatever_came_after() -> None:
    machine = Machine().feed(connect(at(10)))
    for hour, user, login in ((10.1, "root", "failed"), (10.2, "admin", "success"), (10.3, "guest", "failed")):
        machine.feed(_login(at(hour), user, login))
    assert machine.session("a").user == "admin"


def test_without_a_success_the_last_tried_user_counts() -> None:
    machine = Machine().feed(connect(at(10)), _login(at(10.2), "second", "failed"), _login(at(10.1), "first", "failed"))
    assert machine.session("a").user == "second"


def _login(time: int, user: str, login: str) -> Connection:
    return Connection(
        action=Action.ANNOTATE, sensor="s", session_id="a", time=time, user=user, attributes={"login": login}
    )


def test_a_silent_live_sensor_is_swept_by_the_wall_clock() -> None:
    machine = Machine().feed(connect(at(10)))
    machine.now = at(10)
    machine.machine.tick(_tick(at(10)), at(10) + SECOND)
    machine.sweep(at(11))
    assert machine.session("a").state is State.OPEN
    assert machine.sweep(at(11.2)).session("a").end_reason is EndReason.IDLE_TIMEOUT


def test_an_imported_log_is_not_swept() -> None:
    machine = Machine().feed(connect(at(10)))
    machine.machine.tick(_tick(at(10)), at(10) + 90 * DAY)
    assert machine.sweep(at(10) + 91 * DAY).session("a").state is State.OPEN


def test_a_restored_machine_goes_on_where_the_other_stopped() -> None:
    machine = Machine().feed(
        connect(at(10), source="e/t/0", positions=[3]), activity(at(10.1), source="e/t/0", positions=[4])
    )
    heir = Machine()
    heir.machine.restore(machine.sessions)
    heir.stored.update(machine.stored)
    heir.feed(activity(at(10.1), source="e/t/0", positions=[4, 5]), disconnect(at(11), source="e/t/0", positions=[6]))
    session = heir.session("a")
    assert (session.event_count, session.duration) == (4, 3600.0)


@pytest.mark.parametrize("splits", [1, 2, 8])
def test_partitions_do_not_matter(splits: int) -> None:
    machines = [Machine() for _ in range(splits)]
    for n in range(40):
        machines[n % splits].feed(connect(at(n / 10), f"n{n}"), disconnect(at(n / 10) + n * MINUTE, f"n{n}"))
    durations = sorted(one.duration or 0 for machine in machines for one in machine.sessions)
    assert durations == [n * 60.0 for n in range(40)]


def test_a_disconnect_long_after_its_session_was_forgotten_finds_it_in_the_store() -> None:
    machine = Machine(lookups=True).feed(connect(at(10), protocol="tcp"))
    machine.reach(at(10.2)).reach(at(11), after=5 * MINUTE)
    assert len(machine.machine) == 0, "the guess was forgotten"
    machine.feed(disconnect(at(12), protocol="tcp")).reach(at(12.2))
    session = machine.session("a")
    assert (session.end_reason, session.duration, session.event_count) == (EndReason.DISCONNECT, 7200.0, 2)


def test_what_the_store_does_not_know_either_is_an_orphan() -> None:
    machine = Machine(lookups=True).feed(disconnect(at(12)))
    assert machine.reach(at(12.2)).session("a").end_reason is EndReason.ORPHAN


def test_a_store_that_is_away_is_asked_again() -> None:
    machine = Machine(lookups=True).feed(disconnect(at(12)))
    machine.answers = False
    machine.reach(at(12.2))
    keys = machine.machine.take_lookups(10)
    assert machine.sessions == []
    assert len(keys) == 1
    machine.machine.give_back(keys)
    machine.answers = True
    assert machine.reach(at(12.3)).session("a").end_reason is EndReason.ORPHAN


def test_activity_of_a_sensor_that_never_speaks_again_does_not_keep_the_commit_back() -> None:
    machine = Machine().feed(activity(at(10)))
    assert machine.machine.oldest_held == 0
    machine.sweep(machine.now + 299 * SECOND)
    assert machine.machine.oldest_held == 0
    machine.sweep(machine.now + 301 * SECOND)
    assert machine.machine.oldest_held is None


@pytest.mark.parametrize("field", ["server_name", "client_name", "boot_id", "container_id", "location", "user_id"])
@pytest.mark.parametrize("carrier", [connect, disconnect])
def test_a_fact_that_one_record_alone_carries_is_kept(field: str, carrier: object) -> None:
    records = [
        make(at(10 + n), **({field: "known"} if make is carrier else {}))
        for n, make in enumerate((connect, disconnect))
    ]
    assert getattr(Machine().feed(*records).session("a"), field) == "known"


def test_an_address_that_only_the_disconnect_knows_is_kept() -> None:
    machine = Machine().feed(connect(at(10), client_ip="", client_port=0), disconnect(at(11)))
    assert (machine.session("a").client_ip, machine.session("a").client_port) == ("203.0.113.7", 4022)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    ("field", "nothing"),
    [("protocol", ""), ("client_ip", ""), ("client_port", 0), ("server_ip", ""), ("server_port", 0), ("token", "")],
)
def test_what_one_record_alone_names_is_kept_whatever_the_order(field: str, nothing: object, together: bool) -> None:
    whole = {"server_ip": "10.0.0.1", "server_port": 22, "token": "t"}
    makers = (connect, activity, disconnect)
    for carrier in makers:
        records = [
            make(at(10), source=f"e/t/{n}", positions=[n], **{**whole, **({} if make is carrier else {field: nothing})})
            for n, make in enumerate(makers)
        ]
        for order in permutations(records):
            machine = Machine()
            if together:
                for record in order:
                    machine.machine.apply(session_key(record), msgspec.structs.replace(record), machine.now)
            machine.feed(*order).reach(at(11))
            assert getattr(machine.session("a"), field) == getattr(carrier(at(10), **whole), field)


def test_a_fact_is_no_sign_of_life_whether_it_comes_before_or_behind_the_connect() -> None:
    fact = Connection(action=Action.ANNOTATE, sensor="s", session_id="a", time=at(10.5), server_name="db-1")
    for records in ((connect(at(10)), fact), (fact, connect(at(10)))):
        session = Machine().feed(*records).reach(at(20)).session("a")
        assert (session.server_name, session.end_reason, session.ended_at) == ("db-1", "idle_timeout", at(10))


def test_what_changed_in_a_batch_is_not_forgotten_by_a_tick_of_the_same_batch() -> None:
    """The session was closed by a guess long ago: its time to be forgotten comes with the tick behind the fact."""
    machine = Machine().feed(connect(at(10))).reach(at(12), after=2 * MINUTE)
    fact = Connection(action=Action.ANNOTATE, sensor="s", session_id="a", time=at(11), server_name="db-1")
    late = machine.now + 2 * MINUTE
    machine.machine.apply(session_key(fact), fact, late, 1)
    machine.machine.tick(Tick(source="e/t/0", caught_up=True, sensors={"s": at(20)}), late)
    assert [session.server_name for session in machine.machine.take_changes()] == ["db-1"]


def test_a_session_that_a_repeated_record_woke_times_out_all_the_same() -> None:
    opening = connect(at(10), source="e/t/0", positions=[1])
    machine = Machine().feed(opening).feed(opening).reach(at(20))
    assert machine.session("a").end_reason is EndReason.IDLE_TIMEOUT


def test_a_session_that_outlives_a_restart_of_its_sensor_times_out_all_the_same() -> None:
    machine = Machine().feed(connect(at(10)), Connection(action=Action.SENSOR_START, sensor="s", time=at(9)))
    assert machine.reach(at(20)).session("a").end_reason is EndReason.IDLE_TIMEOUT


def test_a_session_that_changes_beside_the_tick_that_is_beyond_its_limit_is_closed_by_that_tick() -> None:
    machine = Machine().feed(connect(at(10)))
    fact = Connection(action=Action.ANNOTATE, sensor="s", session_id="a", time=at(10.1), server_name="db-1")
    machine.machine.apply(session_key(fact), fact, machine.now, 1)
    assert machine.reach(at(20)).session("a").end_reason is EndReason.IDLE_TIMEOUT


def test_a_session_whose_connect_comes_beside_the_tick_of_what_waited_for_it_goes_on() -> None:
    """Activity waits; its connect, and the tick at which it would have been given up, come in one batch."""
    machine = Machine().feed(activity(at(10)))
    opening = connect(at(9.999), record_id="c")
    machine.machine.apply(session_key(opening), opening, machine.now, 1)
    session = machine.reach(at(10) + 6 * MINUTE).session("a")
    assert (session.state, session.event_count) == (State.OPEN, 2)
    assert machine.reach(at(20)).session("a").end_reason is EndReason.IDLE_TIMEOUT


@pytest.mark.parametrize("key", [{"session_id": "a"}, {"session_id": "", "server_ip": "10.0.0.1"}])
def test_what_a_restart_of_its_sensor_closed_stays_so_over_a_restart_of_the_worker(key: dict[str, str]) -> None:
    never_idle = Sessions(idle={"": 0.0}, max_duration=0)
    restart = Connection(action=Action.SENSOR_START, sensor="s", time=at(11))
    machine = Machine(never_idle).feed(connect(at(10), **key), restart)
    heir = machine.successor(5).feed(connect(at(10), **key)).reach(at(20))
    (session,) = heir.sessions
    assert (session.end_reason, session.ended_at, session.event_count) == (EndReason.SENSOR_RESTART, at(10), 2)


def test_a_late_fact_is_annotated() -> None:
    fact = Connection(action=Action.ANNOTATE, sensor="s", session_id="a", time=at(10.5), server_name="db-1")
    assert Machine().feed(connect(at(10)), fact).session("a").server_name == "db-1"
