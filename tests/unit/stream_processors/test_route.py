"""What a batch of raw messages becomes."""

from collections.abc import Sequence

import msgspec

from producers.formats import DECODERS, Source
from producers.kafka.publisher import partition_of
from schemas.dead_letters import Reason, Stage
from schemas.records import Action, Connection, Event, position_of, session_key
from stream_processors.route import Routed, by_partition, plan

SOURCE = Source(epoch="e1", topic="sensor.events", partition=2)
SECOND = 1_000_000


class Raw(msgspec.Struct):
    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int = 1_700_000_000_000
    headers: Sequence[tuple[str, bytes]] = ()


def encoded(record: Event | Connection) -> bytes:
    """As a sensor writes it: times are seconds or text there, not our microseconds."""
    fields = msgspec.to_builtins(record)
    for name in ("time", "started", "ended", "first_time", "last_time"):
        if fields.get(name) is not None:
            fields[name] = fields[name] / SECOND
    return msgspec.json.encode(fields)


def event(session: str, seconds: int, kind: str = "command", **more: object) -> bytes:
    return encoded(Event(sensor="s", time=seconds * SECOND, session_id=session, kind=kind, **more))  # type: ignore[arg-type]


def connection(action: Action, session: str, seconds: int, **more: object) -> bytes:
    return encoded(Connection(action=action, sensor="s", time=seconds * SECOND, session_id=session, **more))  # type: ignore[arg-type]


def planned(*values: bytes | None, decoder: str = "sojourn.event", longest: int = 10_000) -> Routed:
    messages = [Raw(offset, value) for offset, value in enumerate(values)]
    return plan(messages, DECODERS[decoder], SOURCE, longest)


def cowrie(kind: str, session: str, second: int, **more: object) -> bytes:
    return msgspec.json.encode(
        {
            "eventid": f"cowrie.{kind}",
            "session": session,
            "sensor": "s",
            "uuid": "u",
            "src_ip": "198.51.100.1",
            "src_port": 4000,
            "dst_ip": "192.0.2.1",
            "dst_port": 22,
            "protocol": "ssh",
            "timestamp": f"2026-11-22T01:00:{second:02d}.000000Z",
            **more,
        }
    )


def test_events_of_a_session_are_added_up_to_one_activity_record() -> None:
    routed = planned(event("a", 10), event("a", 5), event("a", 20))
    ((key, record),) = routed.connections
    assert key == session_key(record) == b'["s","a"]'
    assert record.action is Action.ACTIVITY
    assert (record.first_time, record.last_time, record.time) == (5 * SECOND, 20 * SECOND, 20 * SECOND)
    assert record.positions == [position_of(0, 0), position_of(1, 0), position_of(2, 0)]
    assert record.source == "e1/sensor.events/2"
    assert record.record_id == ""
    assert routed.decoded == 3


def test_without_an_id_events_of_two_times_are_not_added_up() -> None:
    """Another session of the key may lie between them, on another topic or later in the log."""
    routed = planned(*(event("", second, mac="02:00:00:00:00:01") for second in (1, 1, 9)))
    assert [(one.first_time, len(one.positions)) for _, one in routed.connections] == [(SECOND, 2), (9 * SECOND, 1)]


def test_activity_stands_before_the_next_other_record_of_its_session() -> None:
    routed = planned(
        cowrie("session.connect", "a", 1),
        cowrie("command.input", "a", 2, input="ls"),
        cowrie("command.input", "b", 3, input="ls"),
        cowrie("session.closed", "a", 4, duration="3.0"),
        cowrie("command.input", "b", 5, input="id"),
        decoder="cowrie",
    )
    assert [(record.session_id, record.action) for _, record in routed.connections] == [
        ("a", Action.CONNECT),
        ("a", Action.ACTIVITY),
        ("a", Action.DISCONNECT),
        ("b", Action.ACTIVITY),
    ]


def test_positions_ascend_within_every_key() -> None:
    lines = [cowrie("session.connect", name, 1) for name in "abc"]
    lines += [cowrie("command.input", name, 2, input="x") for name in "abcabcacb"]
    lines += [cowrie("login.success", name, 3, username="root", password="x") for name in "ab"]
    lines += [cowrie("command.input", name, 4, input="x") for name in "bca"]
    lines += [cowrie("session.closed", name, 5, duration="4.0") for name in "cab"]
    routed = planned(*lines, decoder="cowrie")
    last: dict[bytes | None, int] = {}
    counted = 0
    for key, record in routed.connections:
        assert record.positions == sorted(record.positions)
        assert record.positions[0] > last.get(key, -1)
        last[key] = record.positions[-1]
        counted += len(record.positions)
    assert counted == len(lines)


def test_who_is_logged_in_is_a_record_of_its_own() -> None:
    routed = planned(
        event("a", 1),
        event("a", 2, kind="login.failed", user="root"),
        event("a", 3, kind="login.success", user="admin"),
        event("a", 4),
    )
    said = [(record.user, record.attributes.get("login"), len(record.positions)) for _, record in routed.connections]
    assert said[0] == ("", None, 1)
    assert said[1][:2] == ("root", "failed")
    assert said[2][:2] == ("admin", "success")
    assert sum(count for _, _, count in said) == 4


def test_an_event_without_a_connection_goes_nowhere_but_is_decoded() -> None:
    routed = planned(encoded(Event(sensor="s", time=SECOND, kind="ping")))
    assert routed.connections == []
    assert routed.decoded == 1
    assert routed.times == {"s": [SECOND]}


def test_what_cannot_be_decoded_is_a_dead_letter_with_its_bytes_and_the_rest_goes_on() -> None:
    routed = planned(b"{broken", event("a", 1), None)
    first, second = routed.letters
    assert (first.stage, first.reason, first.value) == (Stage.ROUTE, Reason.NOT_JSON, b"{broken")
    assert first.message_key() == b"e1/sensor.events/2/0/route"
    assert second.offset == 2
    assert len(routed.connections) == 1


def test_a_huge_value_is_cut_in_its_dead_letter_which_says_so() -> None:
    routed = planned(b"x" * 500, longest=100)
    (letter,) = routed.letters
    assert letter.value == b"x" * 100
    assert "cut to 100 bytes" in letter.expected
    assert letter.cut


def test_the_record_id_header_names_the_record() -> None:
    message = Raw(7, connection(Action.CONNECT, "a", 1), headers=[("record_id", b"r1")])
    routed = plan([message], DECODERS["sojourn.connection"], SOURCE, 1000)
    assert routed.connections[0][1].record_id == "r1/0"


def test_a_sensor_start_comes_after_everything_before_it_and_goes_everywhere() -> None:
    routed = planned(
        connection(Action.CONNECT, "a", 1),
        connection(Action.SENSOR_START, "", 2, boot_id="b2"),
        connection(Action.CONNECT, "b", 3),
        decoder="sojourn.connection",
    )
    assert [key for key, _ in routed.connections] == [b'["s","a"]', None, b'["s","b"]']
    items = by_partition(routed.connections, 4)
    assert set(items) == {0, 1, 2, 3}
    for partition, messages in items.items():
        actions = [msgspec.json.decode(value, type=Connection).action for _, value, _ in messages]
        assert actions.count(Action.SENSOR_START) == 1
        if partition == partition_of(b'["s","a"]', 4):
            assert actions.index(Action.CONNECT) < actions.index(Action.SENSOR_START) or partition == partition_of(
                b'["s","b"]', 4
            )


def test_messages_stand_in_the_partition_of_their_key() -> None:
    routed = planned(*(event(f"session-{number}", number) for number in range(50)))
    items = by_partition(routed.connections, 8)
    assert sum(map(len, items.values())) == 50
    for partition, messages in items.items():
        for key, _, _ in messages:
            assert key is not None
            assert partition_of(key, 8) == partition


def test_cutting_the_log_differently_counts_the_same_positions() -> None:
    lines = [event("a", second) for second in range(20)]
    messages = [Raw(offset, value) for offset, value in enumerate(lines)]
    whole = plan(messages, DECODERS["sojourn.event"], SOURCE, 1000)
    parts = [plan(messages[cut : cut + 3], DECODERS["sojourn.event"], SOURCE, 1000) for cut in range(0, 20, 3)]
    assert [p for _, r in whole.connections for p in r.positions] == [
        p for part in parts for _, r in part.connections for p in r.positions
    ]
