"""Last-Event-ID: a place in the log that outlives the server."""

import pytest

from query_api.errors import BadRequestError
from query_api.live.positions import HEADER, Within, read_positions, written

_EPOCHS = {"sensor.events": "0f1e2d3c-aaaa", "sensor.connections": "99998888-bbbb", "sensor.native.zeek": "77776666-cc"}
_OFFSETS = {"sensor.events": [0, 7, 1 << 40], "sensor.connections": [0, 0, 0], "sensor.native.zeek": [1, 0, 0]}


def test_what_was_written_is_read() -> None:
    found = read_positions(written(_EPOCHS, _OFFSETS).decode())
    assert [found.begins("sensor.events", n, _EPOCHS["sensor.events"]) for n in range(3)] == _OFFSETS["sensor.events"]
    assert found.begins("sensor.native.zeek", 0, _EPOCHS["sensor.native.zeek"]) == 1


def test_a_topic_that_had_nothing_begins_at_its_first_record_in_any_epoch() -> None:
    found = read_positions(written(_EPOCHS, _OFFSETS).decode())
    assert "sensor.connections" not in found.topics
    assert found.begins("sensor.connections", 2, "anything") == 0


def test_a_log_that_began_anew_is_read_from_its_beginning() -> None:
    found = read_positions(written(_EPOCHS, _OFFSETS).decode())
    assert found.begins("sensor.events", 1, "another epoch") == 0


def test_of_a_message_with_several_records_those_given_before_are_known() -> None:
    epoch = _EPOCHS["sensor.events"]
    found = read_positions(written(_EPOCHS, _OFFSETS, Within("sensor.events", 1, 2)).decode())
    assert found.given("sensor.events", 1, 7, epoch) == 2
    assert found.given("sensor.events", 1, 8, epoch) == 0
    assert found.given("sensor.events", 2, 7, epoch) == 0
    assert found.given("sensor.events", 1, 7, "another epoch") == 0


def test_zero_is_the_beginning_of_every_log() -> None:
    assert read_positions("0").begins("sensor.events", 3, "any epoch") == 0


@pytest.mark.parametrize("text", ["00", "x", "ä", "%%%", "a" * 7000, "koGtc2Vuc29y", "wA", "koGheJKheZHSgAAAAMA"])
def test_what_no_stream_has_given_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        read_positions(text)
    assert refused.value.field == HEADER
