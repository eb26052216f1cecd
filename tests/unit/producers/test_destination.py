import pytest

from producers.destination import FORMATS, Destination, destination_of, topics_of
from producers.formats import Rejection
from schemas import topics


@pytest.mark.parametrize(
    ("format_name", "line", "topic", "key"),
    [
        ("sojourn", b'{"sensor":"a","time":1,"session_id":"s"}', topics.EVENTS, b'["a","s"]'),
        ("sojourn", b'{"sensor":"a","time":1,"action":"ls -l"}', topics.EVENTS, b""),
        (
            "sojourn",
            b'{"sensor":"a","time":1,"session_id":"s","action":"connect"}',
            topics.CONNECTIONS_IN,
            b'["a","s"]',
        ),
        ("sojourn", b'{"sensor":"a","time":1,"mac":"AA:BB","action":"Remove"}', topics.CONNECTIONS_IN, b'["aabb"]'),
        ("sojourn.event", b'{"sensor":"a","time":1,"action":"connect"}', topics.EVENTS, b""),
        (
            "sojourn.connection",
            b'{"sensor":"a","time":1,"client_ip":"::1","action":"connect"}',
            topics.CONNECTIONS_IN,
            b'["a","","::1:0",":0"]',
        ),
        (
            "cowrie",
            b'{"eventid":"cowrie.command.input","sensor":"a","timestamp":1,"session":"s"}',
            "sensor.native.cowrie",
            b'["a","s"]',
        ),
    ],
)
def test_a_line_goes_to_the_topic_of_its_format_keyed_by_its_session(
    format_name: str, line: bytes, topic: str, key: bytes
) -> None:
    assert destination_of(format_name, line) == Destination(topic, key, "a")
    assert topic in topics_of(format_name)


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_line_that_cannot_be_decoded_goes_nowhere(format_name: str) -> None:
    for line in (b"", b"nonsense", b"[]", b"{}", b"\xff", b'{"action":{"a":1}}'):
        assert isinstance(destination_of(format_name, line), Rejection)


def test_every_format_has_topics_that_sensors_write() -> None:
    assert set().union(*map(topics_of, FORMATS)) == {topic.name for topic in topics.sensor_topics()}
