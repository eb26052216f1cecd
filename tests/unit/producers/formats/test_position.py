"""What is added to every decoded record, whatever its format."""

import json

from producers.formats import DECODERS, Decoded, Rejection, Source, decode
from schemas.dead_letters import Reason
from schemas.records import position_of
from schemas.topics import format_of, sensor_topics

SOURCE = Source("e1", "sensor.connections", 3)
NOW = 1_795_341_600_000_000
CONNECT = {"action": "connect", "sensor": "a", "time": 5, "session_id": "s"}


def decoded(fields: dict[str, object], record_id: str = "", format_name: str = "sojourn.connection") -> Decoded:
    records = decode(DECODERS[format_name], json.dumps(fields).encode(), 70, NOW, SOURCE, record_id)
    assert not isinstance(records, Rejection), records
    assert len(records) == 1
    return records[0]


def event(**fields: object) -> Decoded:
    return decoded({"sensor": "a", "time": 5, **fields}, format_name="sojourn.event")


def test_every_sensor_topic_has_its_decoder() -> None:
    assert {format_of(topic.name) for topic in sensor_topics()} == set(DECODERS)


def test_event_and_connection_know_their_place_in_the_log() -> None:
    record = decoded(CONNECT)
    assert record.connection is not None
    assert (record.event.offset, record.event.index) == (70, 0)
    assert record.connection.source == "e1/sensor.connections/3"
    assert record.connection.positions == [position_of(70, 0)]


def test_the_record_id_is_the_headers_else_the_sensors_else_the_position() -> None:
    for given, header, expected in (
        ("", "", "e1/sensor.connections/3/70/0"),
        ("mine", "", "mine"),
        ("mine", "header", "header/0"),
        ("", "header", "header/0"),
    ):
        record = decoded({**CONNECT, "record_id": given}, header)
        assert record.connection is not None
        assert record.event.record_id == record.connection.record_id == expected


def test_the_code_follows_the_kind_unless_the_sensor_sent_its_own() -> None:
    assert event(kind="LOGIN.failed").event.type == 51
    assert event(kind="command").event.type == 0
    assert event(kind="nobody-knows").event.type == 0
    assert event(kind="connect", type=77).event.type == 77
    assert decoded(CONNECT).event.type == 5


def test_a_wild_time_is_replaced_by_the_brokers_kept_in_details_and_flagged() -> None:
    record = event(time="2300-01-01T00:00:00Z", started=-1, ended=5, details={"a": 1}, flags=["odd"]).event
    assert (record.time, record.started, record.ended) == (NOW, None, 5_000_000)
    assert record.flags == ["odd", "time_replaced"]
    assert json.loads(bytes(record.details)) == {
        "a": 1,
        "sojourn.original_time": 10_413_792_000_000_000,
        "sojourn.original_started": -1_000_000,
    }
    record = event(ended="1812-01-01T00:00:00Z").event
    assert (record.time, record.ended, record.flags) == (5_000_000, None, ["time_replaced"])


def test_the_wild_time_of_a_connection_is_replaced_too() -> None:
    record = decoded({**CONNECT, "action": "activity", "time": -5})
    connection = record.connection
    assert connection is not None
    assert (connection.time, connection.first_time, connection.last_time) == (NOW, NOW, NOW)
    assert record.event.time == NOW
    record = decoded({**CONNECT, "action": "complete", "started": -5, "ended": 9e10})
    assert record.connection is not None
    assert (record.connection.started, record.connection.ended, record.connection.time) == (None, None, 5_000_000)
    assert record.event.flags == ["time_replaced"]


def test_times_at_the_bounds_stay() -> None:
    assert event(time=0).event.flags == []
    assert event(time="2200-01-01T00:00:00Z").event.flags == []


def test_a_message_without_a_value_is_refused() -> None:
    rejection = decode(DECODERS["sojourn.event"], None, 1, NOW, SOURCE)
    assert isinstance(rejection, Rejection)
    assert rejection.reason is Reason.NOT_AN_OBJECT


def test_the_same_message_gives_the_same_records() -> None:
    assert decoded(CONNECT).connection == decoded(CONNECT).connection
